import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { stringify } from 'yaml';
import type { ApiAnswer } from '../cluster/api-client.ts';
import { type ControlPlane, kwokAnnotation } from '../cluster/control-plane.ts';
import { type Installation, install, startCluster } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import { fixtureNode, type KubeObject, osmoFiles, osmoPods } from '../support/fixtures.ts';
import { apply } from '../support/json-patch.ts';
import { type OtherHook, startOtherHook } from './support/other-hook.ts';
import { gate, isExcluded, podOf, podsOf, storedPod } from './support/ways.ts';

/* Placement on a real API server: what is stored, beside other hooks, and what becomes of it while nodes have no labels yet. */

let plane: ControlPlane;
let webhook: Installation;

const policy = (gpu: object = {}, placement: object = {}): string =>
  stringify({
    apiVersion: 'osmo-admission/v1alpha1',
    kind: 'AdmissionPolicy',
    rules: { placement },
    ...(Object.keys(gpu).length > 0 && {
      profiles: [
        {
          name: 'gpu',
          match: { resources: ['nvidia.com/gpu'] },
          nodeType: 'gpu',
          tolerations: [{ key: 'nvidia.com/gpu', operator: 'Exists', effect: 'NoSchedule' }],
          ...gpu,
        },
        { name: 'compute', match: {}, tolerations: [] },
      ],
    }),
  });

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  webhook = await install(plane, { policy: policy() });
}, 120_000);

afterAll(() => plane?.close(), 60_000);

const gpuLimit = { resources: { limits: { 'nvidia.com/gpu': '1' } } };
const gpuPod = { containers: [{ name: 'c', image: 'x', ...gpuLimit }] };
const create = (pod: KubeObject): Promise<ApiAnswer> => plane.api.send('POST', podsOf(), pod);

/** The nodeSelector that is stored of a pod that is created now; `denied` for none. */
async function selectorOf(name: string, spec: object = gpuPod): Promise<unknown> {
  const { code, body, warnings } = await create(podOf(name, { ...gate, ...spec }));
  if (code !== 201) return `denied ${/\((placement\/[a-z-]+)\)/.exec(body.message)?.[1]}`;
  const stored = await storedPod(plane, name);
  expect(isExcluded(stored)).toBe(true);
  const said = warnings.join().includes('selector-left-out') ? ' with a warning' : '';
  return `${stored.spec.nodeSelector?.['node-type'] ?? 'none'}${said}`;
}

/** A node that kwok keeps Ready, with these labels and GPUs. */
async function addNode(name: string, labels: object, gpus = 0): Promise<void> {
  const capacity = { cpu: '64', memory: '256Gi', pods: '110', 'ephemeral-storage': '900Gi' };
  const node = apply(fixtureNode('compute-1'), [
    {
      op: 'add',
      path: '/metadata',
      value: { name, annotations: kwokAnnotation, labels: { 'kubernetes.io/hostname': name, ...labels } },
    },
    { op: 'add', path: '/status/capacity', value: { ...capacity, ...(gpus > 0 && { 'nvidia.com/gpu': `${gpus}` }) } },
  ]);
  const { code, body } = await plane.api.send('POST', '/api/v1/nodes', node);
  if (code !== 201) throw new Error(body.message);
}

/** Tries again until the webhook knows of what has just changed. */
async function untilSelectorIs(expected: string, spec: object = gpuPod): Promise<void> {
  let made = 0;
  const prefix = `until-${Math.floor(performance.now())}`;
  await eventually(
    `a pod gets ${expected}`,
    async () => (await selectorOf(`${prefix}-${made++}`, spec)) === expected,
    15_000,
  );
}

describe('while nodes have no labels', () => {
  it('an empty cluster, or a pool at zero: the selector is injected, and an autoscaler sees it', async () => {
    expect(await selectorOf('first')).toBe('gpu');
  });

  it('only operator nodes are labelled: GPU pods go to the node that the GPU operator labelled, with a warning', async () => {
    await addNode('ops-1', { 'node-type': 'operator' });
    await addNode('plain-gpu', { 'nvidia.com/gpu.present': 'true', 'nvidia.com/gpu.count': '8' }, 8);
    await untilSelectorIs('none with a warning');
    const { code } = await create(podOf('lands', gpuPod));
    expect(code).toBe(201);
    await eventually('it runs there', async () => (await storedPod(plane, 'lands')).spec.nodeName === 'plain-gpu');
  });

  it('a compute pod needs none', async () => {
    expect(await selectorOf('cpu', {})).toBe('none');
  });

  it('inject, skip and deny are as they say', async () => {
    webhook.writePolicy(policy({ whenNoNodeMatches: 'inject' }));
    await untilSelectorIs('gpu');
    webhook.writePolicy(policy({ whenNoNodeMatches: 'skip' }));
    await untilSelectorIs('none with a warning');
    webhook.writePolicy(policy({ whenNoNodeMatches: 'deny' }));
    await untilSelectorIs('denied placement/no-node');
    webhook.writePolicy(policy());
    await untilSelectorIs('none with a warning');
  });

  it('the first gpu node that is labelled brings the selector back', async () => {
    await addNode('gpu-1', { 'node-type': 'gpu' }, 8);
    await untilSelectorIs('gpu');
  });
});

describe('a scheduler that is skipped', () => {
  it('gets pods without selector and tolerations, never without the exclusion', async () => {
    webhook.writePolicy(policy({}, { skipSchedulers: ['nobody'] }));
    await untilSelectorIs('none', { ...gpuPod, schedulerName: 'nobody' });
    expect(await selectorOf('scheduled')).toBe('gpu');
    webhook.writePolicy(policy());
  });
});

describe('beside another mutating webhook', () => {
  const sidecar = { name: 'sidecar', image: 'y', ...gpuLimit };
  const addSidecar = (pod: Readonly<Record<string, unknown>>): readonly object[] =>
    JSON.stringify(pod).includes('"name":"sidecar"') ? [] : [{ op: 'add', path: '/spec/containers/-', value: sidecar }];
  const addLimit = (pod: Readonly<Record<string, unknown>>): readonly object[] =>
    JSON.stringify(pod).includes('nvidia.com/gpu"')
      ? []
      : [{ op: 'add', path: '/spec/containers/0/resources', value: gpuLimit.resources }];
  const hooks: OtherHook[] = [];

  beforeAll(async () => {
    for (const order of ['early', 'late'] as const) {
      hooks.push(await startOtherHook(plane, order, { sidecar: addSidecar, limit: addLimit }));
      let made = 0;
      await eventually('it is called', async () => {
        const name = `probe-${order}-${made++}`;
        await create(podOf(name, gate, { labels: { [`${order}-hook`]: 'sidecar' } }));
        return (await storedPod(plane, name)).spec.containers.length === 2;
      });
    }
  });
  afterAll(() => Promise.all(hooks.map((hook) => hook.close())));

  it.each([
    ['before ours', 'early', 'sidecar'],
    ['before ours', 'early', 'limit'],
    ['after ours', 'late', 'sidecar'],
    ['after ours', 'late', 'limit'],
  ])(
    '%s: a pod that becomes a GPU pod is placed as one (%s, %s), and everything that either patched is stored',
    async (_where, order, what) => {
      const name = `${order}-${what}`;
      expect((await create(podOf(name, gate, { labels: { [`${order}-hook`]: what } }))).code).toBe(201);
      const { spec } = await storedPod(plane, name);
      expect(spec.containers).toHaveLength(what === 'sidecar' ? 2 : 1);
      expect(JSON.stringify(spec.containers)).toContain('nvidia.com/gpu');
      expect(spec.nodeSelector).toEqual({ 'node-type': 'gpu' });
      const own = spec.tolerations.filter(({ key }: { key: string }) => !key.startsWith('node.kubernetes.io/'));
      expect(own.map(({ key, value }: { key: string; value?: string }) => `${key}=${value ?? ''}`)).toEqual([
        'nvidia.com/gpu=',
        'node-type=gpu',
      ]);
      expect(isExcluded(await storedPod(plane, name))).toBe(true);
    },
  );
});

describe('what is stored', () => {
  it('of a pod with 64 terms: the exclusion in each, once', async () => {
    const terms = Array.from({ length: 64 }, (_, i) => ({
      matchExpressions: [{ key: 'rack', operator: 'In', values: [`r${i}`] }],
    }));
    const affinity = {
      nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } },
    };
    expect((await create(podOf('many-terms', { ...gate, affinity }))).code).toBe(201);
    const { spec } = await storedPod(plane, 'many-terms');
    const stored = spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms;
    expect(stored).toHaveLength(64);
    for (const [i, { matchExpressions }] of stored.entries()) {
      expect(matchExpressions).toEqual([
        { key: 'rack', operator: 'In', values: [`r${i}`] },
        { key: 'node-type', operator: 'NotIn', values: ['operator'] },
        { key: 'osmo-admission/quarantined', operator: 'DoesNotExist' },
      ]);
    }
  });

  it('of each pod that OSMO renders: its own tolerations as they were, duplicates too, and what the review patched', async () => {
    for (const [index, pod] of osmoFiles().flatMap(osmoPods).entries()) {
      const before = Object(pod.spec).tolerations ?? [];
      const name = `osmo-${index}`;
      const metadata = { ...Object(pod.metadata), name };
      const { code, body } = await create({ ...pod, metadata });
      expect(`${code} ${body.message ?? ''}`).toBe('201 ');
      const { spec } = await storedPod(plane, name);
      expect(spec.tolerations.slice(0, before.length)).toEqual(before);
      await eventually('the record says that it was patched', () =>
        webhook
          .records()
          .some(({ phase, objectRef, patch }) => phase === 'mutate' && objectRef.name === name && patch.length > 0),
      );
      expect(isExcluded(await storedPod(plane, name))).toBe(true);
    }
  });
});
