import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { readServeFlags } from '../../src/cli/serve-flags.ts';
import { createPolicyParser } from '../../src/config/parse.ts';
import { isObject, type JsonObject } from '../../src/policy/model/read.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { type Outcome, runCli } from '../support/cli.ts';
import { argumentsOf, at, isHook, render, rendered, withFolder } from './support.ts';

/*
 * The chart against `osmo-admission manifests`, object by object, for the same policy. What they say in different words is held to mean the
 * same: the policy file (by the digest of what is in force) and the server's arguments (by the settings that it reads from them).
 */

const parse = createPolicyParser({ rules, ownNamespace: 'osmo-admission' });
const fileOf = (sections: object): string =>
  stringify({ apiVersion: 'osmo-admission/v1alpha1', kind: 'AdmissionPolicy', ...sections });

const manifests = (policy: string, namespace: string): Promise<Outcome> =>
  withFolder((folder) => {
    const file = join(folder, 'policy.yaml');
    writeFileSync(file, policy);
    return runCli(['manifests', '--config', file, '--namespace', namespace]);
  });

async function manifestsOf(policy: string, namespace: string): Promise<readonly JsonObject[]> {
  const { stdout, stderr, code } = await manifests(policy, namespace);
  if (code !== 0) throw new Error(stderr);
  return parseAllDocuments(stdout)
    .map((document): unknown => document.toJS())
    .filter(isObject);
}

/** Values as a user writes them: a bare off, and versions in quotes where stringify puts them. */
const valuesOf = (sections: object): string => stringify({ tls: { mode: 'cert-manager' }, policy: sections });

const chartOf = (sections: object, namespace: string): Promise<readonly JsonObject[]> =>
  rendered(valuesOf(sections), '--namespace', namespace);

/** By kind and name, without what is Helm's alone: labels of the release, hooks, the checksum that starts new pods, and a pull policy that says what is the default anyway. */
function comparable(objects: readonly JsonObject[]): Readonly<Record<string, unknown>> {
  const own = objects.filter((object) => !isHook(object) && object.kind !== 'Namespace');
  return Object.fromEntries(
    own.map((object) => {
      const copy = JSON.parse(JSON.stringify(object));
      copy.metadata.labels = { 'app.kubernetes.io/name': copy.metadata.labels['app.kubernetes.io/name'] };
      if (copy.kind === 'ConfigMap') copy.data = parse(copy.data['policy.yaml'], 'policy.yaml').digest;
      if (copy.kind === 'Deployment') {
        const [container] = copy.spec.template.spec.containers;
        container.args = readServeFlags(argumentsOf(object).slice(1), { POD_NAME: 'x' });
        delete container.imagePullPolicy;
        delete copy.spec.template.metadata.annotations;
      }
      return [`${copy.kind} ${copy.metadata.namespace ?? ''}/${copy.metadata.name}`, copy];
    }),
  );
}

async function expectEqual(sections: object, namespace = 'osmo-admission'): Promise<void> {
  const chart = comparable(await chartOf(sections, namespace));
  const printed = comparable(await manifestsOf(fileOf(sections), namespace));
  expect(Object.keys(chart).sort()).toEqual(Object.keys(printed).sort());
  expect(chart).toEqual(printed);
}

describe('the chart is what manifests prints', () => {
  const off = { enforcement: 'off' };
  const taints = [{ key: 'dedicated' }, { key: 'node-type', value: 'gpu' }, { key: 'b.example/a' }];
  const cases: Readonly<Record<string, object>> = {
    'for the defaults': {},
    'under the preset enforce': { preset: 'enforce' },
    'under the preset monitor': { preset: 'monitor' },
    'with more workflow namespaces and labels of one’s own': {
      workflowPods: { namespaces: ['z', 'a', 'osmo-workflows'], labels: ['z.example/b', 'a'] },
    },
    'without workflow namespaces': { workflowPods: { namespaces: [] } },
    'without workflow labels': { workflowPods: { labels: [] } },
    'with reserved nodes': { rules: { 'reserved-nodes': { enforcement: 'warn', taints } } },
    'with reserved nodes and without workflow labels': {
      workflowPods: { labels: [] },
      rules: { 'reserved-nodes': { enforcement: 'enforce', taints } },
    },
    'with others off for the identity of nodes': { rules: { 'node-identity': { others: 'off' } } },
    'with quarantine off': { rules: { 'node-quarantine': off } },
    'with the guard off': { rules: { 'operator-node-guard': off } },
    'with every rule off that can be': {
      rules: Object.fromEntries(rules.filter(({ id }) => id !== 'node-conformance').map(({ id }) => [id, off])),
    },
    'with a taint for operator nodes': {
      rules: {
        'node-identity': off,
        'node-quarantine': off,
        'node-conformance': { taintOperatorNodes: { key: 'ops', effect: 'NoSchedule' } },
      },
    },
    'with reasons off, and a version that looks like a number': {
      rules: { 'node-conformance': { enforcement: { cpu: 'off', disk: 'audit' }, cuda: { minimum: '12.6' } } },
    },
    'without device classes': { profiles: [{ name: 'all', match: {}, tolerations: [] }] },
    'with null for defaults': {
      nodes: { types: { jetson: null, compute: null, orin: 'jetson' } },
      rules: {
        'node-conformance': {
          runtimes: { containerd: null, 'cri-o': '1.30' },
          minimums: { operator: { disk: null }, controlPlane: null },
          architectures: { gpu: null },
          jetpack: { l4t: { '36.4.3': null } },
          taintOperatorNodes: null,
        },
      },
    },
  };
  for (const [name, sections] of Object.entries(cases)) it(name, () => expectEqual(sections));

  it('in another namespace', () => expectEqual({}, 'elsewhere'));

  it('refuses to be installed into a workflow namespace, as manifests does', async () => {
    const sections = { workflowPods: { namespaces: ['osmo-workflows', 'osmo-admission'] } };
    const words = 'osmo-admission is a workflow namespace of the policy: the webhook would gate its own pods';
    expect((await manifests(fileOf(sections), 'osmo-admission')).stderr).toContain(words);
    expect(await render(valuesOf(sections))).toMatchObject({ code: 1, stderr: expect.stringContaining(words) });
  });

  const level = fc.constantFrom('enforce', 'warn', 'audit', 'off');
  const ruleIds = rules.map(({ id }) => id).filter((id) => id !== 'node-conformance' && id !== 'reserved-nodes');
  const key = fc.constantFrom('osmo.workflow_uuid', 'a', 'b.example/c', 'Z');
  const policy = fc.record(
    {
      preset: fc.constantFrom('enforce', 'monitor'),
      workflowPods: fc.record(
        {
          namespaces: fc.uniqueArray(fc.constantFrom('osmo-workflows', 'b', 'a-1', '0'), { maxLength: 4 }),
          labels: fc.uniqueArray(key, { maxLength: 3 }),
        },
        { requiredKeys: [] },
      ),
      nodes: fc.record({
        types: fc.dictionary(fc.constantFrom('jetson', 'ops-1', '1.30'), fc.constantFrom('shared', null)),
      }),
      rules: fc
        .tuple(
          fc.dictionary(fc.constantFrom(...ruleIds), fc.record({ enforcement: level }), { noNullPrototype: true }),
          fc.record(
            {
              enforcement: fc.dictionary(fc.constantFrom('cpu', 'driver', 'disk'), level, { noNullPrototype: true }),
              taintOperatorNodes: fc.constantFrom(null, { key: 'ops', effect: 'NoExecute' }),
              kubernetes: fc.constantFrom('1.30', '1.30.0', 'v1.31'),
              runtimes: fc.dictionary(fc.constantFrom('containerd', 'cri-o'), fc.constantFrom(null, '1.10', '2'), {
                noNullPrototype: true,
              }),
            },
            { requiredKeys: [] },
          ),
          fc.record(
            { enforcement: level, taints: fc.array(fc.record({ key }), { maxLength: 3 }) },
            { requiredKeys: [] },
          ),
        )
        .map(([others, conformance, reserved]) => ({
          ...others,
          'node-conformance': conformance,
          'reserved-nodes': reserved,
        })),
      exemptions: fc.constantFrom([], [{ reason: 'moves', namespaces: ['x'], until: '2027-01-31' }]),
      profiles: fc.constantFrom(
        [{ name: 'all', match: {}, tolerations: [] }],
        [
          { name: 'one', match: { deviceClasses: ['x.example'] }, nodeType: 'gpu', tolerations: [] },
          { name: 'all', match: {}, tolerations: [] },
        ],
      ),
    },
    { requiredKeys: [] },
  );
  const isValid = (sections: object): boolean => {
    try {
      parse(fileOf(sections), 'policy.yaml');
      return true;
    } catch {
      return false;
    }
  };

  it('for any policy', { timeout: 300_000 }, async () => {
    await fc.assert(fc.asyncProperty(policy.filter(isValid), fc.constantFrom('osmo-admission', 'c'), expectEqual), {
      numRuns: 60,
    });
  });
});

describe('certificates', () => {
  const webhooksOf = async (values: object): Promise<readonly JsonObject[]> =>
    (await rendered(values))
      .filter(({ kind }) => String(kind).endsWith('WebhookConfiguration'))
      .flatMap(({ webhooks }) => (Array.isArray(webhooks) ? webhooks : []));

  it('of the server itself: no caBundle, no annotation, no Secret and no volume for one', async () => {
    const objects = await rendered({});
    expect(JSON.stringify(objects)).not.toMatch(/caBundle|inject-ca-from|cert-manager|secretName/);
    expect(objects.map(({ kind }) => kind)).not.toContain('Secret');
    const deployment = objects.find(({ kind }) => kind === 'Deployment');
    expect(argumentsOf(Object(deployment))).toContain('--tls-self-signed');
    expect((await webhooksOf({})).map((webhook) => at(webhook, 'clientConfig', 'service', 'namespace'))).toContain(
      'osmo-admission',
    );
  });

  it('of the server itself are all that it may write, by name', async () => {
    const rights = (await rendered({}))
      .filter((object) => /Role$/.test(String(object.kind)) && !isHook(object))
      .flatMap(({ rules: granted }) => (Array.isArray(granted) ? granted : []));
    const without = (await rendered({ tls: { mode: 'cert-manager' } }))
      .filter((object) => /Role$/.test(String(object.kind)) && !isHook(object))
      .flatMap(({ rules: granted }) => (Array.isArray(granted) ? granted : []));
    const known = new Set(without.map((each) => JSON.stringify(each)));
    expect(rights.filter((each) => !known.has(JSON.stringify(each)))).toEqual([
      {
        apiGroups: ['admissionregistration.k8s.io'],
        resources: ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'],
        resourceNames: ['osmo-admission-webhook'],
        verbs: ['patch'],
      },
      {
        apiGroups: ['coordination.k8s.io'],
        resources: ['leases'],
        resourceNames: ['osmo-admission-webhook-certificates'],
        verbs: ['get', 'update'],
      },
      { apiGroups: [''], resources: ['secrets'], verbs: ['create'] },
      {
        apiGroups: [''],
        resources: ['secrets'],
        resourceNames: ['osmo-admission-webhook-ca', 'osmo-admission-webhook-tls'],
        verbs: ['get', 'update'],
      },
    ]);
  });

  it('by an issuer of one’s own: one Certificate and no authority', async () => {
    const objects = await rendered({
      tls: { mode: 'cert-manager', issuerRef: { name: 'corp', kind: 'ClusterIssuer' } },
    });
    const made = objects.filter(({ apiVersion }) => apiVersion === 'cert-manager.io/v1');
    expect(made.map(({ kind }) => kind)).toEqual(['Certificate']);
    expect(at(made[0], 'spec', 'issuerRef')).toEqual({ name: 'corp', kind: 'ClusterIssuer', group: 'cert-manager.io' });
  });

  it('in a Secret of one’s own: its authority stands in every webhook', async () => {
    const caBundle = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
    const tls = { mode: 'secret', secretName: 'own', caBundle };
    const bundles = (await webhooksOf({ tls })).map((webhook) => at(webhook, 'clientConfig', 'caBundle'));
    expect(bundles.length).toBeGreaterThan(5);
    for (const bundle of bundles) expect(Buffer.from(String(bundle), 'base64').toString()).toBe(caBundle);
    for (const name of ['secretName', 'caBundle']) {
      expect((await render({ tls: { ...tls, [name]: '' } })).stderr).toContain(`/tls/${name}`);
    }
  });
});
