import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { install, startCluster } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import { isOperator } from '../properties/naive-scheduler.ts';
import type { KubeObject } from '../support/fixtures.ts';
import { boundTo, isJudged, nameOf } from './support/pods.ts';
import { createRandom, randomNodes, randomPod } from './support/random-cluster.ts';

/*
 * Where pods really land: random workflow pods against random nodes, through the real scheduler, first without the webhook and then with
 * it. `E2E_SEED` repeats a run. KAI's scheduler is not run: the default one answers to its name.
 */

const seed = Number(process.env.E2E_SEED ?? Date.now() % 1_000_000);
const podCount = 2_000;
const nodeCount = 40;
const pods = '/api/v1/namespaces/osmo-workflows/pods';

let plane: ControlPlane;
let nodes: ReadonlyMap<string, KubeObject>;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  nodes = await createNodes();
}, 120_000);

afterAll(() => plane?.close(), 60_000);

async function createNodes(): Promise<ReadonlyMap<string, KubeObject>> {
  await plane.apply(['create', '-f', '-'], randomNodes(createRandom(seed), nodeCount));
  let stored: readonly KubeObject[] = [];
  await eventually('every node is Ready', async () => {
    stored = await plane.api.list('/api/v1/nodes');
    return stored.every((node) => !JSON.stringify(node).includes('node.kubernetes.io/not-ready'));
  });
  return new Map(stored.map((node) => [nameOf(node), node]));
}

/** Pods with a nodeName of their own, by name. */
const skipped = new Set<string>();

interface Outcome {
  readonly denied: number;
  /** Pods that the scheduler, or their own nodeName, bound. */
  readonly bound: readonly KubeObject[];
}

/** Creates the seed's pods, waits until the scheduler has said yes or no to each, and empties the namespace. */
async function run(): Promise<Outcome> {
  const random = createRandom(seed + 1);
  const queue = Array.from({ length: podCount }, (_, index) => randomPod(random, index, nodeCount));
  for (const pod of queue) if (boundTo(pod) !== '') skipped.add(nameOf(pod));
  let denied = 0;
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let pod = queue[next++]; pod !== undefined; pod = queue[next++]) {
      const { code, body } = await plane.api.send('POST', pods, pod);
      if (code === 403 && String(body.message).includes('.osmo-admission" denied the request')) denied += 1;
      else if (code !== 201) throw new Error(`${JSON.stringify(pod)}: ${code} ${JSON.stringify(body)}`);
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  let stored: readonly KubeObject[] = [];
  await eventually(
    'the scheduler has judged every pod',
    async () => {
      stored = await plane.api.list(pods);
      return stored.every((pod) => boundTo(pod) !== '' || isJudged(pod));
    },
    120_000,
  );
  const bound = stored.filter((pod) => boundTo(pod) !== '');
  await plane.api.send('DELETE', pods, { gracePeriodSeconds: 0, propagationPolicy: 'Background' });
  await eventually('the namespace is empty', async () => (await plane.api.list(pods)).length === 0);
  return { denied, bound };
}

/** Pod and node of each that landed where it must not, as a message. */
function strays(
  bound: readonly KubeObject[],
  allowed: (pod: KubeObject, node: KubeObject) => boolean,
): readonly string[] {
  return bound.flatMap((pod) => {
    const node = nodes.get(boundTo(pod));
    if (node === undefined) throw new Error(`${nameOf(pod)} is bound to ${boundTo(pod)}, which nobody made`);
    return allowed(pod, node) ? [] : [`seed ${seed}, default policy: ${JSON.stringify({ pod, node })}`];
  });
}

const typeOf = ({ metadata }: KubeObject): unknown =>
  Reflect.get(Object(Reflect.get(Object(metadata), 'labels')), 'node-type');

function wantsGpu(pod: KubeObject): boolean {
  return JSON.stringify(pod).includes('"nvidia.com/gpu":"1"');
}

function wantsJetson(pod: KubeObject): boolean {
  const labels = Object(Reflect.get(Object(pod.metadata), 'labels'));
  const selector = Object(Reflect.get(Object(pod.spec), 'nodeSelector'));
  return /^(agx-orin|jetson)-/.test(labels['osmo.platform'] ?? '') || selector['node-type'] === 'jetson';
}

describe(`2,000 random workflow pods against 40 random nodes, seed ${seed}`, () => {
  it('land on operator nodes without the webhook', async () => {
    const without = await run();
    const astray = strays(without.bound, (_, node) => !isOperator(node));
    console.log(`without the webhook: ${without.bound.length} bound, ${astray.length} of them to operator nodes`);
    expect(astray.length).toBeGreaterThan(0);
  }, 300_000);

  it('do not with it, and those of gpu and jetson land only there', async () => {
    await install(plane, { policy: 'apiVersion: osmo-admission/v1alpha1\nkind: AdmissionPolicy\n' });
    const { denied, bound } = await run();
    expect(strays(bound, (_, node) => !isOperator(node))).toEqual([]);
    expect(denied).toBeGreaterThan(0);
    // A kubelet refuses a pod that spec.nodeName brought where its selector does not match; kwok does not.
    const scheduled = bound.filter((pod) => !skipped.has(nameOf(pod)));
    console.log(
      `with the webhook: ${denied} denied, ${bound.length} bound, ${scheduled.length} of them by the scheduler`,
    );
    expect(scheduled.length).toBeGreaterThanOrEqual(500);
    expect(strays(scheduled, (pod, node) => !wantsJetson(pod) || typeOf(node) === 'jetson')).toEqual([]);
    expect(strays(scheduled, (pod, node) => wantsJetson(pod) || !wantsGpu(pod) || typeOf(node) === 'gpu')).toEqual([]);
    for (const wants of [wantsGpu, wantsJetson]) expect(scheduled.filter(wants).length).toBeGreaterThan(20);
  }, 300_000);
});
