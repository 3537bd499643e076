import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { createPolicyParser } from '../../src/config/parse.ts';
import { buildManifests } from '../../src/manifests/build.ts';
import { buildWebhookConfigurations } from '../../src/manifests/webhooks.ts';
import type { CompiledPolicy } from '../../src/policy/model/policy.ts';
import { readPod } from '../../src/policy/model/read-pod.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { isWorkflowPod } from '../../src/policy/workflow-pod.ts';
import { type Outcome, runCli } from '../support/cli.ts';
import { type PodRequest, passes } from '../support/conditions.ts';

const installation = { namespace: 'osmo-admission', image: 'registry.example/webhook:1', replicas: 2 };
const parser = createPolicyParser({ rules, ownNamespace: installation.namespace });
const textOf = (sections: object): string =>
  stringify({ apiVersion: 'osmo-admission/v1alpha1', kind: 'AdmissionPolicy', ...sections });
const policyOf = (sections: object = {}): CompiledPolicy => parser(textOf(sections), 'policy.yaml');

interface Requirement {
  readonly key: string;
  readonly operator: string;
  readonly values?: readonly string[];
}

interface Webhook {
  readonly name: string;
  readonly failurePolicy: string;
  readonly sideEffects: string;
  readonly namespaceSelector?: { readonly matchExpressions: readonly Requirement[] };
  readonly objectSelector?: { readonly matchExpressions: readonly Requirement[] };
  readonly matchConditions?: readonly { readonly name: string; readonly expression: string }[];
  readonly timeoutSeconds: number;
  readonly rules: readonly { readonly resources: readonly string[]; readonly operations: readonly string[] }[];
  readonly clientConfig: {
    readonly service: Readonly<Record<string, unknown>>;
    readonly url?: string;
    readonly caBundle?: string;
  };
}

function webhooksOf(policy: CompiledPolicy, kind: 'Mutating' | 'Validating'): readonly Webhook[] {
  const configuration = buildWebhookConfigurations(rules, policy, installation.namespace).find(
    (object) => object.kind === `${kind}WebhookConfiguration`,
  );
  return JSON.parse(JSON.stringify(configuration?.webhooks ?? []));
}

/** The API server's own matching of selectors, written from its documentation. */
function matches(requirements: readonly Requirement[] | undefined, labels: Readonly<Record<string, string>>): boolean {
  return (requirements ?? []).every(({ key, operator, values = [] }) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    if (operator === 'In') return value !== undefined && values.includes(value);
    if (operator === 'NotIn') return value === undefined || !values.includes(value);
    return (value !== undefined) === (operator === 'Exists');
  });
}

const reached = (
  webhooks: readonly Webhook[],
  resource: string,
  operation: string,
  namespace: string,
  labels: Readonly<Record<string, string>>,
): readonly string[] =>
  webhooks
    .filter((webhook) =>
      webhook.rules.some((rule) => rule.resources.includes(resource) && rule.operations.includes(operation)),
    )
    .filter(
      (webhook) =>
        resource.startsWith('nodes') ||
        matches(webhook.namespaceSelector?.matchExpressions, { 'kubernetes.io/metadata.name': namespace }),
    )
    .filter((webhook) => matches(webhook.objectSelector?.matchExpressions, labels))
    .map(({ name }) => name);

const workflow = { 'osmo.workflow_uuid': 'a', 'osmo.task_uuid': 'b' };

describe('which requests reach which webhook', () => {
  const validating = webhooksOf(policyOf(), 'Validating');
  const mutating = webhooksOf(policyOf(), 'Mutating');
  const cases: readonly (readonly [
    string,
    string,
    string,
    string,
    Readonly<Record<string, string>>,
    readonly string[],
  ])[] = [
    ['a pod of a workflow namespace', 'pods', 'CREATE', 'osmo-workflows', {}, ['pods']],
    ['a pod of a workflow namespace with the labels', 'pods', 'CREATE', 'osmo-workflows', workflow, ['pods']],
    ['a pod with the labels elsewhere', 'pods', 'CREATE', 'apps', workflow, ['pods-elsewhere']],
    ['a pod with one of the labels elsewhere', 'pods', 'CREATE', 'apps', { 'osmo.task_uuid': 'b' }, []],
    ['any other pod', 'pods', 'CREATE', 'kube-system', {}, []],
    ['a pod of the webhook’s own namespace, whatever its labels', 'pods', 'CREATE', 'osmo-admission', workflow, []],
    ['a node that registers', 'nodes', 'CREATE', '', {}, ['nodes']],
    ['a change of a node', 'nodes', 'UPDATE', '', {}, ['nodes']],
    ['one through its status', 'nodes/status', 'UPDATE', '', {}, ['nodes']],
    ['an update of a pod', 'pods', 'UPDATE', 'osmo-workflows', workflow, ['pods']],
    ['a binding', 'pods/binding', 'CREATE', 'osmo-workflows', {}, ['bindings']],
    ['a binding by the other path', 'bindings', 'CREATE', 'osmo-workflows', {}, ['bindings']],
    ['a binding elsewhere', 'pods/binding', 'CREATE', 'apps', {}, ['bindings-elsewhere']],
    ['a binding of the webhook’s own pods', 'pods/binding', 'CREATE', 'osmo-admission', {}, []],
  ];
  for (const [name, resource, operation, namespace, labels, expected] of cases) {
    it(name, () => {
      expect(reached(validating, resource, operation, namespace, labels)).toEqual(
        expected.map((scope) => `${scope}.validate.osmo-admission`),
      );
      expect(reached(mutating, resource, operation, namespace, labels)).toEqual(
        expected.map((scope) => `${scope}.mutate.osmo-admission`),
      );
    });
  }

  it('are updates of nodes only where labels or taints change: heartbeats stay away', () => {
    const [condition, ...more] = validating.find(({ name }) => name.startsWith('nodes.'))?.matchConditions ?? [];
    expect(more).toEqual([]);
    // What it lets through is shown on a real API server; here, that every optional field is asked for safely.
    expect(condition?.expression).toMatch(/^request\.operation != "UPDATE" \|\| \(object\.metadata\.\?labels != /);
    expect(condition?.expression).not.toMatch(/(metadata|spec)\.(labels|taints)|request\.subResource/);
  });

  it('are all that any rule reads: a rule that no webhook carries is an error', () => {
    const [guard] = rules;
    if (guard === undefined) throw new Error('no rule');
    const other = { ...guard, on: [{ group: '', resource: 'secrets', operations: ['CREATE' as const] }] };
    expect(() => buildWebhookConfigurations([other], policyOf(), installation.namespace)).toThrow(
      'rule operator-node-guard reads secrets, which no webhook carries',
    );
  });

  it('is each workflow pod exactly once, for any policy, and the webhook’s own pods never', () => {
    const name = fc.constantFrom('osmo-workflows', 'a', 'b', 'osmo-admission');
    const key = fc.constantFrom('x', 'y', 'osmo.task_uuid');
    fc.assert(
      fc.property(
        fc.uniqueArray(name, { maxLength: 3 }),
        fc.uniqueArray(key, { maxLength: 2 }),
        name,
        fc.dictionary(key, fc.constant('v'), { noNullPrototype: true }),
        (namespaces, labels, namespace, own) => {
          const policy = policyOf({ workflowPods: { namespaces, labels } });
          const pod = readPod({ metadata: { labels: own } }, 'object', namespace);
          const expected = namespace !== installation.namespace && isWorkflowPod(pod, policy) ? 1 : 0;
          for (const kind of ['Mutating', 'Validating'] as const) {
            expect(reached(webhooksOf(policy, kind), 'pods', 'CREATE', namespace, own)).toHaveLength(expected);
          }
        },
      ),
    );
  });
});

describe('with a rule about pods that are no workflow pods', () => {
  const taints = [{ key: 'dedicated' }, { key: 'node-type', value: 'gpu' }];
  const on = (enforcement: string): object => ({ rules: { 'reserved-nodes': { enforcement, taints } } });
  const by = (policy: CompiledPolicy): Parameters<typeof passes>[2] => ({
    workflowLabels: policy.workflowLabels,
    keys: taints.map(({ key }) => key),
  });

  /** Names of the webhooks that a request about a pod reaches, conditions included. */
  function reachedBy(
    policy: CompiledPolicy,
    kind: 'Mutating' | 'Validating',
    namespace: string,
    request: PodRequest,
  ): readonly string[] {
    const webhooks = webhooksOf(policy, kind);
    const operation = request.old === undefined ? 'CREATE' : 'UPDATE';
    // An objectSelector lets in what the old or the new object matches.
    const either = [request.labels, ...(request.old === undefined ? [] : [request.old.labels])].flatMap((labels) =>
      reached(webhooks, 'pods', operation, namespace, labels),
    );
    return [...new Set(either)].filter((name) => {
      const conditions = webhooks.find((webhook) => webhook.name === name)?.matchConditions ?? [];
      return passes(
        conditions.map((condition) => condition.name),
        request,
        by(policy),
      );
    });
  }

  it('each pod that some rule may judge reaches exactly one validating webhook, for any policy, and no other pod any', () => {
    const name = fc.constantFrom('osmo-workflows', 'a', 'b', 'osmo-admission');
    const key = fc.constantFrom('x', 'y', 'osmo.task_uuid');
    const labels = fc.dictionary(key, fc.constant('v'), { noNullPrototype: true });
    const toleration = fc.constantFrom({}, { key: '' }, { key: 'dedicated' }, { key: 'node-type' }, { key: 'team' });
    fc.assert(
      fc.property(
        fc.uniqueArray(name, { maxLength: 3 }),
        fc.uniqueArray(key, { maxLength: 2 }),
        fc.constantFrom('off', 'audit', 'enforce'),
        name,
        fc.record({ labels, tolerations: fc.array(toleration, { maxLength: 3 }) }),
        fc.option(labels, { nil: undefined }),
        (namespaces, keys, enforcement, namespace, pod, oldLabels) => {
          const policy = policyOf({ workflowPods: { namespaces, labels: keys }, ...on(enforcement) });
          // Every update adds a toleration, so that it is one that is judged.
          const request: PodRequest =
            oldLabels === undefined
              ? pod
              : {
                  labels: pod.labels,
                  tolerations: [...pod.tolerations, { key: 'added' }],
                  old: { labels: oldLabels, tolerations: pod.tolerations },
                };
          const isWorkflow = [request.labels, ...(oldLabels === undefined ? [] : [oldLabels])].some((own) =>
            isWorkflowPod({ namespace, labels: own }, policy),
          );
          const isReserved = enforcement !== 'off' && pod.tolerations.some(({ key: has }) => has !== 'team');
          const judged = namespace !== installation.namespace && (isWorkflow || isReserved);
          const validating = reachedBy(policy, 'Validating', namespace, request);
          expect(validating).toHaveLength(judged ? 1 : 0);
          expect(validating[0]?.startsWith('other-pods.') ?? false).toBe(judged && !isWorkflow);
          expect(reachedBy(policy, 'Mutating', namespace, request)).toHaveLength(judged && isWorkflow ? 1 : 0);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('the rest of the configurations is as it is without the rule', () => {
    for (const kind of ['Mutating', 'Validating'] as const) {
      const others = webhooksOf(policyOf(on('enforce')), kind).filter(({ name }) => !name.startsWith('other-'));
      expect(others).toEqual(webhooksOf(policyOf(), kind));
      expect(webhooksOf(policyOf(on('off')), kind)).toEqual(webhooksOf(policyOf(), kind));
    }
  });

  it('other pods and workloads are admitted while the webhook is away, and wait for it a second at most', () => {
    const others = webhooksOf(policyOf(on('enforce')), 'Validating').filter(({ name }) => name.startsWith('other-'));
    expect(others.map(({ name }) => name.split('.')[0])).toEqual(['other-pods', 'other-workloads']);
    for (const { failurePolicy, timeoutSeconds } of others) {
      expect({ failurePolicy, timeoutSeconds }).toEqual({ failurePolicy: 'Ignore', timeoutSeconds: 1 });
    }
  });

  it('they alone are asked for where no other rule is on, or nothing makes a workflow pod', () => {
    const names = (sections: object): readonly string[] =>
      webhooksOf(policyOf(sections), 'Validating').map(({ name }) => name.split('.')[0] ?? '');
    const off = Object.fromEntries(
      rules.filter(({ id }) => id !== 'reserved-nodes').map(({ id }) => [id, { enforcement: 'off' }]),
    );
    const { 'node-conformance': _, ...rest } = off;
    expect(names({ rules: { ...rest, 'reserved-nodes': { enforcement: 'audit', taints } } })).toEqual([
      'other-pods',
      'other-workloads',
      'nodes',
    ]);
    expect(names({ workflowPods: { namespaces: [], labels: [] }, ...on('enforce') })).toEqual([
      'other-pods',
      'other-workloads',
      'nodes',
    ]);
  });

  it('the same taints in another order make the same conditions', () => {
    const turned = { rules: { 'reserved-nodes': { enforcement: 'enforce', taints: [...taints].reverse() } } };
    expect(webhooksOf(policyOf(turned), 'Validating')).toEqual(webhooksOf(policyOf(on('enforce')), 'Validating'));
  });

  it('every optional field is asked for safely', () => {
    const expressions = webhooksOf(policyOf(on('enforce')), 'Validating')
      .filter(({ name }) => name.startsWith('other-'))
      .flatMap(({ matchConditions = [] }) => matchConditions.map(({ expression }) => expression));
    expect(expressions).toHaveLength(6);
    for (const expression of expressions) {
      expect(expression).not.toMatch(/\.(labels|tolerations|template|jobTemplate|subResource|key)\b/);
    }
  });

  it('a resource that no webhook carries for such pods is an error', () => {
    const rule = rules.find(({ id }) => id === 'reserved-nodes');
    if (rule === undefined) throw new Error('no rule');
    const other = { ...rule, on: [{ group: '', resource: 'bindings', operations: ['CREATE' as const] }] };
    expect(() => buildWebhookConfigurations([other], policyOf(), installation.namespace)).toThrow(
      'rule reserved-nodes reads bindings, which no webhook carries',
    );
  });
});

describe('what happens while the webhook is away', () => {
  it('is Fail for pods of workflow namespaces and their bindings only', () => {
    for (const kind of ['Mutating', 'Validating'] as const) {
      for (const { name, failurePolicy } of webhooksOf(policyOf(), kind)) {
        expect(failurePolicy, name).toBe(/^(pods|bindings)\./.test(name) ? 'Fail' : 'Ignore');
      }
    }
  });

  it('is Ignore for everything under monitor', () => {
    const policy = policyOf({ preset: 'monitor' });
    const all = [...webhooksOf(policy, 'Mutating'), ...webhooksOf(policy, 'Validating')];
    expect(all.length).toBeGreaterThan(3);
    expect(all.map(({ failurePolicy }) => failurePolicy)).toEqual(all.map(() => 'Ignore'));
  });
});

describe('webhooks follow the policy', () => {
  const names = (sections: object, kind: 'Mutating' | 'Validating'): readonly string[] =>
    webhooksOf(policyOf(sections), kind).map(({ name }) => name.split('.')[0] ?? '');

  it('nodes are mutated only where marks are kept, a type is put back or a taint is to be injected', () => {
    const off = { 'node-quarantine': { enforcement: 'off' }, 'node-identity': { enforcement: 'off' } };
    expect(names({}, 'Mutating')).toContain('nodes');
    expect(names({ rules: off }, 'Mutating')).not.toContain('nodes');
    expect(
      names(
        { rules: { ...off, 'node-conformance': { taintOperatorNodes: { key: 'ops', effect: 'NoSchedule' } } } },
        'Mutating',
      ),
    ).toContain('nodes');
  });

  it('a rule that is off needs none', () => {
    const rest = { exemptions: { enforcement: 'off' }, placement: { enforcement: 'off' } };
    expect(names({ rules: rest }, 'Mutating')).toEqual(['nodes']);
    expect(names({ rules: { ...rest, 'operator-node-guard': { enforcement: 'off' } } }, 'Validating')).toEqual([
      'nodes',
    ]);
  });

  it('placement that only reports keeps its mutating webhook, so that a reload can switch it on', () => {
    const rules = { exemptions: { enforcement: 'off' }, placement: { enforcement: 'warn' } };
    expect(names({ rules }, 'Mutating')).toEqual(['pods', 'pods-elsewhere', 'nodes']);
  });

  it('without workflow labels there is no webhook for other namespaces', () => {
    expect(names({ workflowPods: { labels: [] } }, 'Validating')).toEqual(['pods', 'bindings', 'workloads', 'nodes']);
  });

  it('each calls the Service by path, leaves nothing behind on a dry run, and has no CA of its own', () => {
    for (const kind of ['Mutating', 'Validating'] as const) {
      for (const { clientConfig, sideEffects, name } of webhooksOf(policyOf(), kind)) {
        expect(clientConfig).toEqual({
          service: {
            name: 'osmo-admission-webhook',
            namespace: 'osmo-admission',
            path: kind === 'Mutating' ? '/mutate' : '/validate',
            port: 443,
          },
        });
        expect(sideEffects).toBe('NoneOnDryRun');
        expect(name.split('.')).toHaveLength(3);
      }
    }
  });
});

describe('the whole installation', () => {
  const files = buildManifests({ rules, policy: policyOf(), policyText: textOf({}), installation });
  const objects = [...files.values()].flatMap((text) =>
    parseAllDocuments(text).map((document): Record<string, unknown> => document.toJS()),
  );
  const one = (kind: string): Record<string, unknown> => objects.find((object) => object.kind === kind) ?? {};
  const spec = (): Record<string, unknown> =>
    Object(Reflect.get(Object(Reflect.get(Object(one('Deployment').spec), 'template')), 'spec'));

  it('applies the webhook configurations last', () => {
    expect([...files.keys()]).toEqual(['01-workload.yaml', '02-certificate.yaml', '03-webhooks.yaml']);
    expect(objects.slice(-2).map(({ kind }) => kind)).toEqual([
      'MutatingWebhookConfiguration',
      'ValidatingWebhookConfiguration',
    ]);
  });

  it('grants reading and marking of nodes, reading of its own webhook configurations and of pods, its own Lease, and nothing else', () => {
    const roles = objects.filter(({ kind }) => kind === 'ClusterRole');
    expect(roles.map(({ rules: granted }) => granted)).toEqual([
      [
        { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list', 'watch'] },
        { apiGroups: [''], resources: ['nodes'], verbs: ['patch'] },
        { apiGroups: [''], resources: ['pods'], verbs: ['get'] },
        {
          apiGroups: ['resource.k8s.io'],
          resources: ['resourceclaims', 'resourceclaimtemplates'],
          verbs: ['list', 'watch'],
        },
        {
          apiGroups: ['admissionregistration.k8s.io'],
          resources: ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'],
          resourceNames: ['osmo-admission-webhook'],
          verbs: ['get'],
        },
      ],
      [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }],
    ]);
    expect(one('Role').rules).toEqual([
      { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
      {
        apiGroups: ['coordination.k8s.io'],
        resources: ['leases'],
        resourceNames: ['osmo-admission-webhook-quarantine'],
        verbs: ['get', 'update', 'delete'],
      },
    ]);
  });

  it('runs as Pod Security "restricted" asks, with a read-only root', () => {
    expect(spec().securityContext).toEqual({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    const [container] = Array.isArray(spec().containers) ? (spec().containers as Record<string, unknown>[]) : [];
    expect(container?.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(container?.image).toBe('registry.example/webhook:1');
  });

  it('mounts the policy file as it was given', () => {
    expect(one('ConfigMap').data).toEqual({ 'policy.yaml': textOf({}) });
  });

  it('gives the certificate the name that the API server calls', () => {
    const leaf = objects.filter(({ kind }) => kind === 'Certificate').at(-1);
    expect(Reflect.get(Object(leaf?.spec), 'dnsNames')).toContain('osmo-admission-webhook.osmo-admission.svc');
  });
});

describe('osmo-admission manifests', () => {
  const cli = (args: readonly string[]): Promise<Outcome> => runCli(['manifests', ...args], { nowMs: 0 });

  it('prints everything as one stream, or writes a file a step', async () => {
    const { code, stdout } = await cli(['-n', 'elsewhere', '--image', 'x:1']);
    expect(code).toBe(0);
    expect(parseAllDocuments(stdout).length).toBeGreaterThan(10);
    expect(stdout).toContain('namespace: elsewhere');
    const directory = mkdtempSync(join(tmpdir(), 'manifests-'));
    expect((await cli(['--output-dir', join(directory, 'out')])).code).toBe(0);
    expect(readdirSync(join(directory, 'out'))).toEqual([
      '01-workload.yaml',
      '02-certificate.yaml',
      '03-webhooks.yaml',
    ]);
    rmSync(directory, { recursive: true });
  });

  it('refuses what cannot be installed', async () => {
    expect(await cli(['-n', 'Not_A_Namespace'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('no namespace can be called'),
    });
    expect(await cli(['-n', 'osmo-workflows'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is a workflow namespace of the policy'),
    });
    expect(await cli(['--replicas', '0'])).toMatchObject({ code: 2, stderr: expect.stringContaining('from 1') });
    expect(await cli(['--config', '/nowhere.yaml'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('no such file'),
    });
  });
});
