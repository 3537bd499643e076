import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { stringify } from 'yaml';
import type { ApiAnswer } from '../cluster/api-client.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { type Installation, install, startCluster } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import type { KubeObject } from '../support/fixtures.ts';
import { kubeletOf } from './support/nodes.ts';
import { kubeletPolicy } from './support/policy.ts';
import {
  author,
  contentTypes,
  gate,
  harmless,
  isExcluded,
  nodeOfPod,
  podOf,
  podsOf,
  prepareWays,
  storedPod,
  toOps,
  unscheduled,
  verdict,
  workflows,
} from './support/ways.ts';

/* Ways in which a workflow pod that is there could be moved towards an operator node, and what of its life must pass untouched. */

let plane: ControlPlane;
let webhook: Installation;

/** Made before the installation. */
const older: readonly KubeObject[] = [
  podOf('older', { ...unscheduled, tolerations: [toOps] }, { finalizers: ['osmo.nvidia.com/wait'] }),
  podOf('older-gated', gate),
  podOf('older-tightened', gate),
  podOf('older-open', { ...gate, nodeSelector: { 'node-type': 'operator' } }),
  podOf('older-tolerating', { ...gate, tolerations: [toOps] }),
];

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  await prepareWays(plane);
  await plane.apply(['create', '-f', '-'], older);
  webhook = await install(plane, { policy: kubeletPolicy() });
}, 120_000);

afterAll(() => plane?.close(), 60_000);

type Format = keyof typeof contentTypes;

const patch = (name: string, body: unknown, format: Format = 'merge', subresource = ''): Promise<ApiAnswer> =>
  plane.api.send('PATCH', `${podsOf()}/${name}${subresource}`, body, { as: author, ...contentTypes[format] });

async function create(pod: KubeObject): Promise<void> {
  expect(verdict(await plane.api.send('POST', podsOf(), pod, { as: author }))).toBe('admitted');
}

const requesting = (cpu: string): object => ({ name: 'c', image: 'x', resources: { requests: { cpu } } });
const ungate = { spec: { schedulingGates: null } };

/** Reviews that the author's requests have made so far. */
const reviews = (): number => webhook.records().filter(({ user }) => user.username === author.user).length;

/** Makes two reviews that are known, and waits for them: those of earlier requests are recorded then, too. */
async function markRecords(): Promise<void> {
  const name = `mark-${reviews()}`;
  await create(podOf(name, gate));
  await eventually('the mark is recorded', () =>
    webhook.records().some(({ phase, objectRef }) => phase === 'validate' && objectRef.name === name),
  );
}

/** How many reviews of the author's requests some work makes. */
async function reviewsOf(work: () => Promise<void>): Promise<number> {
  await markRecords();
  const before = reviews();
  await work();
  await markRecords();
  return reviews() - before - 2;
}

describe('a toleration that is added to a pod that waits or runs', () => {
  const ways: Readonly<Record<string, (name: string, toleration: object) => Promise<ApiAnswer>>> = {
    'a JSON patch': (name, toleration) =>
      patch(name, [{ op: 'add', path: '/spec/tolerations/-', value: toleration }], 'json'),
    'a merge patch': async (name, toleration) => patch(name, await withToleration(name, toleration)),
    'a strategic merge patch': async (name, toleration) =>
      patch(name, await withToleration(name, toleration), 'strategic'),
    'a PUT': async (name, toleration) => {
      const stored = await storedPod(plane, name);
      const { spec } = await withToleration(name, toleration);
      const body = { ...stored, spec: { ...stored.spec, ...spec } };
      return plane.api.send('PUT', `${podsOf()}/${name}`, body, { as: author });
    },
    'a server-side apply by another field manager': async (name, toleration) =>
      plane.api.send(
        'PATCH',
        `${podsOf()}/${name}?fieldManager=other&force=true`,
        { apiVersion: 'v1', kind: 'Pod', metadata: { name }, ...(await withToleration(name, toleration)) },
        { as: author, contentType: 'application/apply-patch+yaml' },
      ),
  };

  async function withToleration(name: string, toleration: object): Promise<{ readonly spec: object }> {
    const { spec } = await storedPod(plane, name);
    return { spec: { tolerations: [...spec.tolerations, toleration] } };
  }

  beforeAll(async () => {
    await create(podOf('runs'));
    expect(await nodeOfPod(plane, 'runs')).toBe('compute-a');
    await create(podOf('waits', { ...unscheduled, containers: [requesting('10m')] }));
  });

  for (const [what, way] of Object.entries(ways)) {
    it(`by ${what} is denied for the operator taint, and admitted for another`, async () => {
      for (const name of ['runs', 'waits']) {
        expect(verdict(await way(name, toOps))).toBe('operator-node-guard/tolerates');
        expect(verdict(await way(name, { operator: 'Exists', effect: 'NoExecute' }))).toBe(
          'operator-node-guard/tolerates',
        );
        expect(verdict(await way(name, { ...harmless, value: undefined }))).toBe('admitted');
      }
    });
  }

  it('by kubectl edit’s patch is told in kubectl’s words', async () => {
    const body = JSON.stringify([{ op: 'add', path: '/spec/tolerations/-', value: toOps }]);
    const said = await plane.kubectl([
      ...['patch', 'pod', 'runs', '-n', workflows, '--type', 'json', '-p', body, '--as', author.user],
    ]);
    expect(said.code).toBe(1);
    expect(said.stderr).toContain(
      'admission webhook "pods.validate.osmo-admission" denied the request: spec.tolerations[',
    );
  });
});

describe('a gated pod', () => {
  it('that is tightened has the exclusion afterwards, also one that is older than the installation', async () => {
    expect(isExcluded(await storedPod(plane, 'older-tightened'))).toBe(false);
    expect(verdict(await patch('older-tightened', { spec: { nodeSelector: { disk: 'ssd' } } }))).toBe('admitted');
    const stored = await storedPod(plane, 'older-tightened');
    expect(isExcluded(stored)).toBe(true);
    expect(stored.spec.nodeSelector).toEqual({ disk: 'ssd' });
  });

  it('may not be tightened to operator nodes', async () => {
    await create(podOf('gated', gate));
    expect(verdict(await patch('gated', { spec: { nodeSelector: { 'node-type': 'operator' } } }))).toBe(
      'operator-node-guard/selects',
    );
  });

  it('that loses its exclusion in the same write has it back', async () => {
    const { spec, ...rest } = await storedPod(plane, 'gated');
    const { affinity, ...open } = spec;
    expect(affinity).toBeDefined();
    const body = { ...rest, spec: { ...open, nodeSelector: { disk: 'ssd' } } };
    expect(verdict(await plane.api.send('PUT', `${podsOf()}/gated`, body, { as: author }))).toBe('admitted');
    const stored = await storedPod(plane, 'gated');
    expect(stored.spec.nodeSelector).toEqual({ disk: 'ssd' });
    expect(stored.spec.affinity).toEqual(affinity);
  });

  it('that is ungated and sent to operator nodes in one request is denied; sent elsewhere, it is admitted', async () => {
    const both = (nodeSelector: object): object => ({ spec: { ...ungate.spec, nodeSelector } });
    await create(podOf('both', gate));
    expect(verdict(await patch('both', both({ 'node-type': 'operator' })))).toContain('operator-node-guard/selects');
    expect(verdict(await patch('both', both({ 'node-type': 'compute' })))).toBe('admitted');
    expect(await nodeOfPod(plane, 'both')).toBe('compute-a');
  });

  it('that is ungated is bound by the scheduler, to a compute node', async () => {
    await create(podOf('plain', gate));
    for (const name of ['plain', 'older-gated']) {
      expect(verdict(await patch(name, ungate))).toBe('admitted');
      expect(isExcluded(await storedPod(plane, name))).toBe(true);
      expect(await nodeOfPod(plane, name)).toBe('compute-a');
    }
  });

  it('that is ungated is judged whole: for a toleration or a selector that it had before the installation, too', async () => {
    expect(verdict(await patch('older-tolerating', ungate))).toBe('operator-node-guard/tolerates');
    expect(verdict(await patch('older-open', ungate))).toContain('operator-node-guard/selects');
    // What it had is no reason to deny a change that leaves the gate.
    expect(verdict(await patch('older-tolerating', { spec: { nodeSelector: { disk: 'ssd' } } }))).toBe('admitted');
  });
});

describe('a pod that is older than the installation', () => {
  it('goes on as it was: labels, owners, status, finalizers and its end reach nobody', async () => {
    const count = await reviewsOf(async () => {
      const owner = { apiVersion: 'v1', kind: 'Pod', name: 'runs', uid: (await storedPod(plane, 'runs')).metadata.uid };
      const writes: readonly (readonly [body: object, subresource?: string])[] = [
        [{ metadata: { labels: { team: 'a' } } }],
        [{ metadata: { annotations: { team: 'a' } } }],
        [{ metadata: { ownerReferences: [owner] } }],
        [{ status: { message: 'x' } }, '/status'],
        // As OSMO does before it deletes a pod.
        [{ metadata: { finalizers: null } }],
      ];
      for (const [body, subresource] of writes) {
        expect(verdict(await patch('older', body, 'merge', subresource))).toBe('admitted');
      }
      const { code } = await plane.api.send('DELETE', `${podsOf()}/older`, { gracePeriodSeconds: 0 }, { as: author });
      expect(code).toBe(200);
    });
    expect(count).toBe(0);
  });
});

describe('what changes no placement', () => {
  it('reaches nobody: ephemeral containers, resize, eviction, scale, and the status of its kubelet', async () => {
    const deployment = {
      ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'scaled', namespace: workflows } },
      spec: {
        replicas: 1,
        selector: { matchLabels: { app: 'scaled' } },
        template: { metadata: { labels: { app: 'scaled' } }, spec: { containers: [{ name: 'c', image: 'x' }] } },
      },
    };
    expect((await plane.kubectl(['create', '-f', '-'], { stdin: stringify(deployment) })).code).toBe(0);
    const resizes = Number(inject('kubernetes').split('.')[1]) >= 33;
    const debug = { name: 'debug', image: 'x', targetContainerName: 'c' };
    const count = await reviewsOf(async () => {
      const answers = [
        await patch('runs', { spec: { ephemeralContainers: [debug] } }, 'strategic', '/ephemeralcontainers'),
        ...(resizes
          ? [await patch('waits', { spec: { containers: [requesting('20m')] } }, 'strategic', '/resize')]
          : []),
        await plane.api.send(
          'PATCH',
          `/apis/apps/v1/namespaces/${workflows}/deployments/scaled/scale`,
          { spec: { replicas: 2 } },
          { as: author, ...contentTypes.merge },
        ),
        await plane.api.send(
          'PATCH',
          `${podsOf()}/runs/status`,
          { status: { message: 'x' } },
          {
            as: kubeletOf('compute-a'),
            ...contentTypes.merge,
          },
        ),
        await plane.api.send(
          'POST',
          `${podsOf()}/runs/eviction`,
          { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'runs', namespace: workflows } },
          { as: author },
        ),
      ];
      expect(answers.map(verdict)).toEqual(answers.map(() => 'admitted'));
    });
    expect(count).toBe(0);
    const byKubelet = webhook.records().filter(({ user }) => user.username.startsWith('system:node:'));
    expect(byKubelet).toEqual([]);
  });
});
