import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { createPolicyParser } from '../../src/config/parse.ts';
import { findGaps } from '../../src/manifests/gaps.ts';
import { buildWebhookConfigurations } from '../../src/manifests/webhooks.ts';
import type { LiveConfiguration, LiveInstallation } from '../../src/policy/model/live-configuration.ts';
import type { CompiledPolicy } from '../../src/policy/model/policy.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { settledNamespaces } from '../../src/policy/settled-namespaces.ts';
import { selfSigned } from '../server/support.ts';
import { apply } from '../support/json-patch.ts';

const namespace = 'osmo-admission';
const parser = createPolicyParser({ rules, ownNamespace: namespace });
const policyOf = (sections: object = {}): CompiledPolicy =>
  parser(stringify({ apiVersion: 'osmo-admission/v1alpha1', kind: 'AdmissionPolicy', ...sections }), 'policy.yaml');

const own = selfSigned();
const caBundle = Buffer.from(own.caPem).toString('base64');

const kinds = ['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration'];
type Operation = Parameters<typeof apply>[1][number];

/** The configurations of a policy as the API server returns them, its defaults filled in, with an edit of one of them. */
function liveOf(policy: CompiledPolicy, kind = '', edit: readonly Operation[] = []): LiveInstallation {
  const objects = buildWebhookConfigurations(rules, policy, namespace);
  const configurations = kinds.map((name): readonly [string, LiveConfiguration] => {
    const object = objects.find((candidate) => candidate.kind === name);
    if (object === undefined) return [name, { state: 'absent' }];
    const webhooks = (object.webhooks as readonly Record<string, unknown>[]).map((webhook) => ({
      namespaceSelector: {},
      objectSelector: {},
      ...(name === 'MutatingWebhookConfiguration' && { reinvocationPolicy: 'Never' }),
      ...webhook,
      clientConfig: { ...(webhook.clientConfig as object), caBundle },
    }));
    const defaulted = { ...object, webhooks };
    return [name, { state: 'found', object: (name === kind ? apply(defaulted, edit) : defaulted) as typeof defaulted }];
  });
  return { configurations: new Map(configurations), labelled: { state: 'found', namespaces: [] } };
}

const gapsOf = (live: LiveInstallation, policy = policyOf()): readonly string[] =>
  findGaps({ rules, policy, namespace, live }).map(({ where, message }) => `${where} ${message}`);

const edited = (path: string, value: unknown, kind = 'ValidatingWebhookConfiguration'): readonly string[] =>
  gapsOf(liveOf(policyOf(), kind, [{ op: 'add', path: `/webhooks/0/${path}`, value }]));

const again = 'apply `osmo-admission manifests` of this policy again';
const at = 'ValidatingWebhookConfiguration/osmo-admission-webhook webhooks[pods.validate.osmo-admission]';

const reserved = { rules: { 'reserved-nodes': { enforcement: 'enforce', taints: [{ key: 'dedicated' }] } } };

describe('the gaps between a policy and the live webhook configurations', () => {
  it.each([
    ['the defaults', {}],
    ['monitor', { preset: 'monitor' }],
    ['other namespaces', { workflowPods: { namespaces: ['a', 'b'] } }],
    ['no labels', { workflowPods: { labels: [] } }],
    ['a rule that is off', { rules: { placement: { enforcement: 'off' } } }],
    ['reserved nodes', reserved],
  ])('are none where the manifests of that very policy are applied: %s', (_, sections) => {
    const policy = policyOf(sections);
    expect(gapsOf(liveOf(policy), policy)).toEqual([]);
  });

  it('name the namespaces that a policy has and the configurations have not, in each webhook that leaves them out', () => {
    const gaps = gapsOf(liveOf(policyOf()), policyOf({ workflowPods: { namespaces: ['osmo-workflows', 'team-a'] } }));
    expect(gaps).toContain(
      `${at}.namespaceSelector leaves out namespace team-a: pods there are not judged by it; ${again}`,
    );
    expect(gaps.filter((gap) => gap.includes('webhooks[pods.mutate'))).toHaveLength(1);
  });

  it('name a namespace that is judged and should not be, and one that is excluded', () => {
    const [gap] = gapsOf(liveOf(policyOf({ workflowPods: { namespaces: ['osmo-workflows', 'old'] } })), policyOf());
    expect(gap).toContain('.namespaceSelector takes in namespace old, which is not its to judge by the policy');
    expect(
      gapsOf(
        liveOf(policyOf(), 'ValidatingWebhookConfiguration', [
          { op: 'add', path: '/webhooks/3/namespaceSelector/matchExpressions/0/values/-', value: 'hidden' },
        ]),
      ).join(),
    ).toContain('leaves out namespace hidden');
  });

  it('name what a rule about other pods needs and is not there, what is left of it, and another list of keys', () => {
    const where = 'ValidatingWebhookConfiguration/osmo-admission-webhook webhooks';
    const names = ['other-pods', 'other-workloads'].map((name) => `${where}[${name}.validate.osmo-admission]`);
    expect(gapsOf(liveOf(policyOf()), policyOf(reserved))).toEqual(
      names.map((name) => `${name} is not there: its requests are not judged; ${again}`),
    );
    expect(gapsOf(liveOf(policyOf(reserved)), policyOf())).toEqual(
      names.map(
        (name) => `${name} is more than the policy needs: its requests are sent for nothing, or twice; ${again}`,
      ),
    );
    const wider = {
      rules: { 'reserved-nodes': { enforcement: 'audit', taints: [{ key: 'dedicated' }, { key: 'k' }] } },
    };
    const changed = gapsOf(liveOf(policyOf(reserved)), policyOf(wider));
    expect(changed.map((gap) => gap.split(' is ')[0])).toEqual(names.map((name) => `${name}.matchConditions`));
    expect(changed.every((gap) => gap.endsWith(`; ${again}`))).toBe(true);
  });

  it.each([
    ['failurePolicy', 'Ignore', 'is Ignore, not Fail: these requests are admitted unjudged while the webhook is away'],
    ['matchPolicy', 'Exact', 'is "Exact", not "Equivalent"'],
    ['admissionReviewVersions', ['v1beta1', 'v1'], 'is ["v1beta1","v1"], not ["v1"]'],
    [
      'namespaceSelector',
      { matchLabels: { a: 'b' } },
      'is {"matchLabels":{"a":"b"}}, not {"matchExpressions":[{"key":"kubernetes.io/metadata.name"',
    ],
    [
      'matchConditions',
      [{ name: 'x', expression: 'false' }],
      'is [{"name":"x","expression":"false"}], not [{"name":"changes-what-is-judged"',
    ],
    ['objectSelector', { matchLabels: { a: 'b' } }, 'is {"matchLabels":{"a":"b"}}, not {}'],
    ['rules', [], 'is [], not [{'],
    ['clientConfig/caBundle', '', 'is empty: the API server trusts no certificate of the webhook'],
    ['clientConfig/service/name', 'other', 'another server is asked'],
  ])('name a changed %s', (path, value, message) => {
    const gaps = edited(path, value);
    expect(gaps).toHaveLength(1);
    expect(gaps[0]).toContain(message);
    expect(gaps[0]).toContain(`${at}.${path.split('/').slice(0, 2).join('.')}`);
  });

  it('name a condition that was added as one that no apply takes out', () => {
    const [gap] = edited('matchConditions/-', { name: 'x', expression: 'false' });
    expect(gap).toContain('take out what is too much with `kubectl edit`, which apply does not');
  });

  it('name a webhook that calls a url, and reinvocation that is switched off', () => {
    expect(edited('clientConfig', { url: 'https://elsewhere.example', caBundle }).join()).toContain(
      'is {"url":"https://elsewhere.example"}',
    );
    expect(edited('reinvocationPolicy', 'Never', 'MutatingWebhookConfiguration').join()).toContain(
      'is "Never", not "IfNeeded"',
    );
  });

  it('are none for lists in another order', () => {
    const labels = ['osmo.task_uuid', 'osmo.workflow_uuid'];
    expect(gapsOf(liveOf(policyOf({ workflowPods: { labels } })))).toEqual([]);
  });

  it('are none for what decides nothing about coverage', () => {
    expect(edited('timeoutSeconds', 30)).toEqual([]);
    expect(edited('clientConfig/service/port', 443)).toEqual([]);
    expect(edited('rules/0/operations', ['UPDATE', 'CREATE'])).toEqual([]);
  });

  it('name a webhook that is gone, one that is too much, a configuration that is gone, and one that cannot be read', () => {
    const remove = gapsOf(
      liveOf(policyOf(), 'ValidatingWebhookConfiguration', [{ op: 'remove', path: '/webhooks/0' }]),
    );
    expect(remove).toEqual([`${at} is not there: its requests are not judged; ${again}`]);
    expect(gapsOf(liveOf(policyOf()), policyOf({ workflowPods: { labels: [] } })).join()).toContain(
      'webhooks[pods-elsewhere.validate.osmo-admission] is more than the policy needs',
    );
    const states: readonly LiveConfiguration[] = [{ state: 'absent' }, { state: 'unknown', why: 'HTTP 403: no' }];
    const live: LiveInstallation = {
      configurations: new Map(kinds.map((kind, index) => [kind, states[index] ?? { state: 'absent' }])),
      labelled: { state: 'found', namespaces: [] },
    };
    expect(gapsOf(live)).toEqual([
      `MutatingWebhookConfiguration/osmo-admission-webhook is not there: none of its requests is judged; ${again}`,
      'ValidatingWebhookConfiguration/osmo-admission-webhook cannot be read, so that nobody knows which requests are judged: HTTP 403: no',
    ]);
  });

  it('name each namespace outside the list where pods bear the workflow labels', () => {
    const found = { ...liveOf(policyOf()), labelled: { state: 'found', namespaces: ['team-b'] } } as const;
    expect(gapsOf(found)).toEqual([
      'Namespace/team-b holds pods with the workflow labels and is none of workflowPods.namespaces: a pod without the labels is not judged there, and one with them is admitted while the webhook is away; list it, or exempt it',
    ]);
    const unknown = { ...liveOf(policyOf()), labelled: { state: 'unknown', why: 'HTTP 403: no' } } as const;
    expect(gapsOf(unknown).join()).toContain('HTTP 403: no');
  });

  it('name a caBundle that holds no certificate, or none that issued the one which is served', () => {
    for (const bundle of ['aGVsbG8=', 'Cg==', '%']) {
      expect(edited('clientConfig/caBundle', bundle).join()).toContain('holds no certificate');
    }
    const served = (pem: string): readonly string[] =>
      findGaps({ rules, policy: policyOf(), namespace, live: liveOf(policyOf()), served: pem }).map(
        ({ where }) => where,
      );
    expect(served(own.certPem)).toEqual([]);
    expect(served(`${own.certPem}${own.caPem}`)).toEqual([]);
    const webhooks = [...liveOf(policyOf()).configurations.values()].flatMap((live) =>
      live.state === 'found' ? Object(live.object.webhooks) : [],
    );
    expect(served(selfSigned().certPem)).toHaveLength(webhooks.length);
  });
});

describe('namespaces in which nobody looks for workflow labels', () => {
  const now = Date.UTC(2026, 10, 25);

  it('are the workflow namespaces, the webhook’s own, and those exempt from every rule as a whole', () => {
    const exemptions = [
      { reason: 'whole', namespaces: ['whole'] },
      { reason: 'over', namespaces: ['over'], until: '2026-11-24' },
      { reason: 'one rule', namespaces: ['one-rule'], rules: ['placement'] },
      { reason: 'one account', namespaces: ['one-account'], serviceAccounts: ['a/b'] },
    ];
    expect(settledNamespaces(policyOf({ exemptions }), now)).toEqual(['osmo-admission', 'osmo-workflows', 'whole']);
  });
});
