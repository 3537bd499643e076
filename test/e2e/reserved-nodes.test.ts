import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { stringify } from 'yaml';
import type { AuditRecord } from '../../src/policy/model/record.ts';
import { type ControlPlane, kwokAnnotation, runCommand, type Said } from '../cluster/control-plane.ts';
import { type Installation, install, root, startCluster } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import { type PodRequest, passes } from '../support/conditions.ts';
import { fixtureNode, type KubeObject } from '../support/fixtures.ts';
import { apply } from '../support/json-patch.ts';
import { judgedBy } from './support/judged-by.ts';
import { createRandom, type Random } from './support/random-cluster.ts';

/*
 * Nodes for workflow pods alone, with the webhook configurations that `manifests` prints for such a policy: which pods reach the webhook, by
 * the API server's own CEL and audit log, and what the real controllers make of it. `E2E_SEED` repeats a run.
 */

const seed = Number(process.env.E2E_SEED ?? Date.now() % 1_000_000);

const taints = [{ key: 'node-type', value: 'gpu' }, { key: 'dedicated' }];
const policy = (enforcement: string): string =>
  stringify({
    apiVersion: 'osmo-admission/v1alpha1',
    kind: 'AdmissionPolicy',
    rules: { 'reserved-nodes': { enforcement, taints } },
  });

let plane: ControlPlane;
let webhook: Installation;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  webhook = await install(plane, { policy: policy('enforce'), ownManifests: true });
  await plane.apply(['create', '-f', '-'], [gpuNode()]);
}, 120_000);

afterAll(() => plane?.close(), 60_000);

/** A node for workflow pods alone. */
function gpuNode(): KubeObject {
  return apply(fixtureNode('gpu-1'), [
    { op: 'add', path: '/metadata/annotations', value: kwokAnnotation },
    { op: 'add', path: '/spec', value: { taints: [{ key: 'node-type', value: 'gpu', effect: 'NoSchedule' }] } },
  ]) as KubeObject;
}

const reserved = { key: 'node-type', operator: 'Equal', value: 'gpu', effect: 'NoSchedule' };
const everything = { operator: 'Exists' };
const team = { key: 'team', operator: 'Exists' };
const workflowLabels = { 'osmo.workflow_uuid': 'a', 'osmo.task_uuid': 'b' };

const pod = (name: string, tolerations: readonly object[], metadata: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, ...metadata },
  spec: { containers: [{ name: 'c', image: 'x' }], tolerations },
});
const podsOf = (namespace: string): string => `/api/v1/namespaces/${namespace}/pods`;
const template = (tolerations: readonly object[], labels: object = { app: 'a' }): object => ({
  metadata: { labels },
  spec: { containers: [{ name: 'c', image: 'x' }], tolerations },
});

interface Answer {
  /** Of a refusal the message, else nothing. */
  readonly denial: string;
  readonly warnings: readonly string[];
  /** `other-pods.validate` and the like. */
  readonly by: readonly string[];
}

async function send(method: string, path: string, body: object, dryRun = true): Promise<Answer> {
  const options = method === 'PATCH' ? { contentType: 'application/merge-patch+json' } : {};
  const answer = await plane.api.send(method, dryRun ? `${path}?dryRun=All` : path, body, options);
  return {
    denial: answer.code < 300 ? '' : `${answer.code} ${answer.body.message}`,
    warnings: answer.warnings,
    by: (await judgedBy(plane, answer.auditId)).filter((name) => name.endsWith('.validate')),
  };
}

const create = (body: KubeObject, namespace = 'default'): Promise<Answer> => send('POST', podsOf(namespace), body);

/** Records about objects whose name starts so. */
const recordsOf = (name: string): readonly AuditRecord[] =>
  webhook.records().filter(({ objectRef }) => objectRef.name.startsWith(name));

/** Those of pods that were made, with what a workload's name starts with. */
const creationsOf = (name: string): readonly AuditRecord[] =>
  recordsOf(name).filter(({ objectRef }) => objectRef.resource === 'pods' && objectRef.subresource === '');

describe('a pod that is no workflow pod', () => {
  it('is denied for a toleration of the taint, and kubectl prints why', async () => {
    const { code, stderr } = await plane.kubectl(['apply', '--dry-run=server', '-f', '-'], {
      stdin: stringify(pod('p', [reserved])),
    });
    expect(code).toBe(1);
    expect(stderr).toContain('Error from server (Forbidden)');
    expect(stderr).toContain('admission webhook "other-pods.validate.osmo-admission" denied the request');
    expect(stderr).toContain('matches the workflow-only taint node-type=gpu:NoSchedule|NoExecute');
    expect(stderr).toContain('(reserved-nodes/tolerates)');
  });

  it('is not even sent where it tolerates neither such a key nor every key', async () => {
    expect(await create(pod('p', [team]))).toEqual({ denial: '', warnings: [], by: [] });
    expect(await create(pod('p', []))).toEqual({ denial: '', warnings: [], by: [] });
  });

  it('with a toleration without a key is admitted and recorded', async () => {
    expect(await create(pod('keyless', [everything]))).toEqual({
      denial: '',
      warnings: [],
      by: ['other-pods.validate'],
    });
    await eventually('it is recorded', () => recordsOf('keyless').length > 0);
    expect(recordsOf('keyless')[0]?.findings).toMatchObject([{ reason: 'tolerates-all', enforcement: 'audit' }]);
  });

  it('is admitted in an exempt namespace, which the record says', async () => {
    expect(await create(pod('exempt', [reserved]), 'kube-system')).toEqual({
      ...{ denial: '', warnings: [] },
      by: ['other-pods.validate'],
    });
    await eventually('it is recorded', () => recordsOf('exempt').length > 0);
    expect(recordsOf('exempt')[0]).toMatchObject({
      findings: [],
      exemptions: [{ reason: 'cluster components', rules: ['reserved-nodes'] }],
    });
  });

  it('is denied with more tolerations than CEL may look through, the last of which matches', async () => {
    const many = Array.from({ length: 200_000 }, () => ({ key: 'a' }));
    const { denial, by } = await create(pod('many', [...many, reserved]));
    expect(denial).toContain('spec.tolerations[200000]');
    expect(by).toEqual(['other-pods.validate']);
  }, 60_000);

  it('that pretends to be of a DaemonSet is denied', async () => {
    const owner = { apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'd', uid: 'd', controller: true };
    expect((await create(pod('p', [reserved], { ownerReferences: [owner] }))).denial).toContain(
      '403 admission webhook',
    );
  });
});

describe('an update of a pod that is no workflow pod', () => {
  const path = `${podsOf('default')}/running`;
  beforeAll(async () => {
    const { denial } = await send('POST', podsOf('default'), pod('running', [team]), false);
    expect(denial).toBe('');
  });
  /** The API server lets tolerations be added only. */
  const withMore = async (...more: readonly object[]): Promise<object> => {
    const { body } = await plane.api.send('GET', path);
    return { spec: { tolerations: [...body.spec.tolerations, ...more] } };
  };

  it('that adds the toleration is denied', async () => {
    const { denial, by } = await send('PATCH', path, await withMore(reserved));
    expect(denial).toContain('(reserved-nodes/tolerates)');
    expect(by).toEqual(['other-pods.validate']);
  });

  it('that adds another, or a label, is not even sent', async () => {
    const other = { key: 'other', operator: 'Exists' };
    expect(await send('PATCH', path, await withMore(other))).toEqual({ denial: '', warnings: [], by: [] });
    expect(await send('PATCH', path, { metadata: { labels: { a: 'b' } } })).toEqual({
      denial: '',
      warnings: [],
      by: [],
    });
  });

  it('that adds it together with the workflow labels is one of a workflow pod', async () => {
    const { by } = await send('PATCH', path, { metadata: { labels: workflowLabels }, ...(await withMore(reserved)) });
    expect(by).toEqual(['pods-elsewhere.validate']);
  });

  it('that adds it and takes the workflow labels off is one of a workflow pod still', async () => {
    const labelled = pod('labelled', [team], { labels: workflowLabels });
    expect((await send('POST', podsOf('default'), labelled, false)).denial).toBe('');
    const { body } = await plane.api.send('GET', `${podsOf('default')}/labelled`);
    const labels = Object.fromEntries(Object.keys(workflowLabels).map((key) => [key, null]));
    const tolerations = [...body.spec.tolerations, reserved];
    const { by } = await send('PATCH', `${podsOf('default')}/labelled`, {
      metadata: { labels },
      spec: { tolerations },
    });
    expect(by).toEqual(['pods-elsewhere.validate']);
    // Pods with the labels elsewhere are a gap of the policy.
    await plane.api.send('DELETE', `${podsOf('default')}/labelled`, { gracePeriodSeconds: 0 });
  });

  it('that had it before the rule was there passes', async () => {
    webhook.writePolicy(policy('off'));
    const old = pod('older', [reserved]);
    await eventually('the rule is off', async () => (await create(old)).denial === '');
    expect((await send('POST', podsOf('default'), old, false)).denial).toBe('');
    webhook.writePolicy(policy('enforce'));
    await eventually('the rule is on', async () => (await create(pod('p', [reserved]))).denial !== '');
    const { body } = await plane.api.send('GET', `${podsOf('default')}/older`);
    const more = { spec: { tolerations: [...body.spec.tolerations, team] } };
    expect(await send('PATCH', `${podsOf('default')}/older`, more)).toEqual({
      ...{ denial: '', warnings: [] },
      by: ['other-pods.validate'],
    });
  });
});

describe('a workflow pod', () => {
  it('may tolerate the taint: it is judged as such, by one webhook', async () => {
    expect(await create(pod('w', [reserved]), 'osmo-workflows')).toEqual({
      ...{ denial: '', warnings: [] },
      by: ['pods.validate'],
    });
    expect(await create(pod('w', [reserved], { labels: workflowLabels }))).toEqual({
      ...{ denial: '', warnings: [] },
      by: ['pods-elsewhere.validate'],
    });
  });
});

describe('which other pods are sent', () => {
  it(`is what the conditions are meant to say (seed ${seed})`, async () => {
    const random = createRandom(seed);
    const by = { workflowLabels: Object.keys(workflowLabels), keys: taints.map(({ key }) => key) };
    const names = ['no-workflow-pod', 'tolerates-what-is-judged'];
    let sent = 0;
    for (let index = 0; index < 60; index++) {
      const labels = randomLabels(random);
      const tolerations = randomTolerations(random);
      const answer = await create(pod('r', tolerations, labels === undefined ? {} : { labels }));
      const request = { labels: labels ?? {}, tolerations };
      const isWorkflow = !passes(['no-workflow-pod'], request, by);
      const expected = passes(names, request, by) ? ['other-pods'] : isWorkflow ? ['pods-elsewhere'] : [];
      if (expected[0] === 'other-pods') sent++;
      expect({ request, by: answer.by }).toEqual({ request, by: expected.map((name) => `${name}.validate`) });
    }
    expect(sent).toBeGreaterThan(5);
    expect(sent).toBeLessThan(55);
  });
});

function randomLabels(random: Random): Record<string, string> | undefined {
  if (random.chance(0.2)) return undefined;
  const keys = ['app', ...Object.keys(workflowLabels)].filter(() => random.chance(0.6));
  return Object.fromEntries(keys.map((key) => [key, 'v']));
}

type Toleration = PodRequest['tolerations'][number];

function randomTolerations(random: Random): readonly Toleration[] {
  const dedicated = { key: 'dedicated', value: 'x' };
  const some: readonly object[] = [everything, { operator: 'Exists', effect: 'NoExecute' }, reserved, dedicated];
  const length = random.pick([0, 1, 1, 2, 3, 101]);
  return Array.from({ length }, (_, index): Toleration => {
    if (length > 100) return { key: `k${index}` };
    return random.pick([...some, team, team, team]);
  });
}

describe('a workload', () => {
  const kinds: readonly (readonly [apiVersion: string, kind: string])[] = [
    ['v1', 'PodTemplate'],
    ['v1', 'ReplicationController'],
    ['apps/v1', 'Deployment'],
    ['apps/v1', 'ReplicaSet'],
    ['apps/v1', 'StatefulSet'],
    ['apps/v1', 'DaemonSet'],
    ['batch/v1', 'Job'],
    ['batch/v1', 'CronJob'],
  ];
  const pathOf = (apiVersion: string, kind: string): string =>
    `/${apiVersion === 'v1' ? 'api' : 'apis'}/${apiVersion}/namespaces/default/${kind.toLowerCase()}s`;
  const workload = (apiVersion: string, kind: string, of: object, name = 'w'): object => {
    const runsOnce = { ...of, spec: { ...Object(Reflect.get(of, 'spec')), restartPolicy: 'Never' } };
    const selector = { matchLabels: { app: 'a' } };
    const bodies: Readonly<Record<string, object>> = {
      PodTemplate: { template: of },
      ReplicationController: { spec: { selector: { app: 'a' }, template: of } },
      Job: { spec: { template: runsOnce } },
      CronJob: { spec: { schedule: '0 0 1 1 *', jobTemplate: { spec: { template: runsOnce } } } },
    };
    return { apiVersion, kind, metadata: { name }, ...(bodies[kind] ?? { spec: { selector, template: of } }) };
  };

  it.each(kinds)('%s %s is judged by exactly one webhook, by what its pods would be', async (apiVersion, kind) => {
    const post = (of: object): Promise<Answer> =>
      send('POST', pathOf(apiVersion, kind), workload(apiVersion, kind, of));
    const { denial, warnings, by } = await post(template([reserved]));
    expect(denial).toBe('');
    expect(by).toEqual(['other-workloads.validate']);
    const own = warnings.map((warning) => warning.includes('(reserved-nodes/tolerates)'));
    expect(own).toEqual(kind === 'DaemonSet' ? [] : [true]);
    const workflow = template([reserved], { app: 'a', ...workflowLabels });
    expect((await post(workflow)).by).toEqual(['workloads-elsewhere.validate']);
    expect((await post(template([team]))).by).toEqual([]);
  });

  it('that is a Deployment comes to nothing: its ReplicaSet’s pods are denied, which its events say', async () => {
    const body = workload('apps/v1', 'Deployment', template([reserved], { app: 'a' }), 'greedy');
    expect((await send('POST', pathOf('apps/v1', 'Deployment'), body, false)).denial).toBe('');
    await eventually('the event', async () => {
      const { stdout } = await plane.kubectl([
        'get',
        'events',
        '--field-selector',
        'reason=FailedCreate',
        '-o',
        'json',
      ]);
      return stdout.includes('matches the workflow-only taint node-type=gpu');
    });
    expect(creationsOf('greedy-')[0]?.user.username).toBe('system:serviceaccount:kube-system:replicaset-controller');
    await plane.apply(['delete', 'deployment', 'greedy']);
  });

  it('that is a DaemonSet runs: the pods that its controller makes are recorded alone', async () => {
    const own = {
      ...workload('apps/v1', 'DaemonSet', {}, 'agent'),
      spec: {
        selector: { matchLabels: { app: 'agent' } },
        template: template([reserved, everything], { app: 'agent' }),
      },
    };
    expect((await send('POST', pathOf('apps/v1', 'DaemonSet'), own, false)).denial).toBe('');
    await eventually('its pod is made', async () => {
      const { body: list } = await plane.api.send('GET', `${podsOf('default')}?labelSelector=app%3Dagent`);
      return list.items.length === 1;
    });
    expect(creationsOf('agent-')).toMatchObject([
      {
        decision: 'allow',
        user: { username: 'system:serviceaccount:kube-system:daemon-set-controller' },
        findings: [
          { rule: 'reserved-nodes', reason: 'tolerates', enforcement: 'audit' },
          { rule: 'reserved-nodes', reason: 'tolerates-all', enforcement: 'audit' },
        ],
        warnings: [],
      },
    ]);
  });
});

describe('the comparison of policy and configurations', () => {
  const check = (text: string): Promise<Said> =>
    runCommand(join(root, 'bin', 'osmo-admission'), ['policy', 'check', '-', '--kubeconfig', plane.kubeconfig()], text);

  it('finds no gap for the policy that is installed, and names what another one needs', async () => {
    const own = await check(policy('enforce'));
    expect(own.stdout).not.toContain('gap:');
    expect(own.code).toBe(0);
    const { code, stdout } = await check(policy('off'));
    expect(code).toBe(1);
    expect(stdout).toContain('webhooks[other-pods.validate.osmo-admission] is more than the policy needs');
    const moreKeys = policy('enforce').replace('key: dedicated', 'key: other');
    expect((await check(moreKeys)).stdout).toContain(
      'webhooks[other-workloads.validate.osmo-admission].matchConditions',
    );
  });
});
