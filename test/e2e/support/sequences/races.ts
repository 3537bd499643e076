import { setTimeout as delay } from 'node:timers/promises';
import type { ApiAnswer } from '../../../cluster/api-client.ts';
import { eventually } from '../../../cluster/wait.ts';
import { isOperator } from '../../../properties/naive-scheduler.ts';
import { boundTo, isJudged } from '../pods.ts';
import { createRandom, type Random } from '../random-cluster.ts';
import { type Landing, landingOf } from './landing.ts';
import { workflowNamespace } from './operations.ts';
import { isWorkflow } from './oracle.ts';
import { merge, podsOf } from './requests.ts';
import { poolNode, resetPool, userOf, type World, workers } from './world.ts';

/*
 * Two writes at once, of which each alone would be judged rightly. What is guaranteed: each decision is right by the nodes and the pod that it went by.
 * What is not, and is counted: where the pod stands once both are through.
 */

export interface Race {
  readonly name: string;
  readonly namespace: string;
  readonly spec: (worker: number) => object;
  readonly node: (worker: number) => string;
  readonly writes: (world: World, worker: number, pod: string) => readonly (() => Promise<ApiAnswer>)[];
}

const labels = { 'osmo.workflow_uuid': 'a', 'osmo.task_uuid': 'b' };
/** No scheduler answers to that name. */
const unscheduled = { schedulerName: 'nobody' };

const bind =
  ({ plane }: World, namespace: string, name: string, node: string) =>
  (): Promise<ApiAnswer> =>
    plane.api.send(
      'POST',
      `${podsOf(namespace)}/${name}/binding`,
      { apiVersion: 'v1', kind: 'Binding', metadata: { name, namespace }, target: { kind: 'Node', name: node } },
      { as: userOf('binder', '') },
    );
const patchPod =
  ({ plane }: World, namespace: string, name: string, body: object) =>
  (): Promise<ApiAnswer> =>
    plane.api.send('PATCH', `${podsOf(namespace)}/${name}`, body, { ...merge, as: userOf('author', '') });

export const races: readonly Race[] = [
  {
    name: 'a node becomes an operator node, and a workflow pod is bound to it',
    namespace: workflowNamespace,
    spec: () => unscheduled,
    node: (worker) => poolNode(worker, 0),
    writes: (world, worker, pod) => [
      () => {
        const body = { metadata: { labels: { 'node-type': 'operator' } } };
        const path = `/api/v1/nodes/${poolNode(worker, 0)}`;
        return world.plane.api.send('PATCH', path, body, { ...merge, as: userOf('node-admin', '') });
      },
      bind(world, workflowNamespace, pod, poolNode(worker, 0)),
    ],
  },
  {
    name: 'labels make a workflow pod, and it is bound to an operator node',
    namespace: 'default',
    spec: () => unscheduled,
    node: (worker) => poolNode(worker, 2),
    writes: (world, worker, pod) => [
      patchPod(world, 'default', pod, { metadata: { labels } }),
      bind(world, 'default', pod, poolNode(worker, 2)),
    ],
  },
  {
    name: 'labels make a workflow pod, and its gate goes, while the scheduler waits with an operator node',
    namespace: 'default',
    spec: (worker) => ({
      schedulingGates: [{ name: 'example.com/wait' }],
      nodeSelector: { 'kubernetes.io/hostname': poolNode(worker, 3) },
      tolerations: [{ key: 'ops', operator: 'Exists' }],
    }),
    node: (worker) => poolNode(worker, 3),
    writes: (world, _worker, pod) => [
      patchPod(world, 'default', pod, { metadata: { labels } }),
      patchPod(world, 'default', pod, { spec: { schedulingGates: null } }),
    ],
  },
];

export interface RaceCounts {
  rounds: number;
  /** A write was denied by the webhook. */
  denied: number;
  bound: number;
  /** Bound, a workflow pod by now, to a node that is an operator node by now. */
  astray: number;
  /** Those of them that were so when the binding was stored: it was judged before the other write, and stored after it. */
  late: number;
  /** What a decision was wrong about, by what it went by. */
  readonly violations: string[];
}

let started = 0;

/** @param rounds of one race, some at once; the seed draws how far the two writes are apart. */
export async function run(world: World, race: Race, rounds: number, seed: number): Promise<RaceCounts> {
  const counts: RaceCounts = { rounds: 0, denied: 0, bound: 0, astray: 0, late: 0, violations: [] };
  await Promise.all(
    Array.from({ length: workers }, async (_, worker) => {
      const random = createRandom(seed * workers + worker);
      for (let round = worker; round < rounds; round += workers) {
        const landing = await runOnce(world, race, worker, random, counts);
        counts.rounds += 1;
        if (landing.violation !== undefined) counts.violations.push(`${race.name}: ${landing.violation}`);
      }
    }),
  );
  return counts;
}

async function runOnce(
  world: World,
  { namespace, spec, node, writes }: Race,
  worker: number,
  random: Random,
  counts: RaceCounts,
): Promise<Landing> {
  const { api } = world.plane;
  await resetPool(world, worker);
  const name = `race-${++started}`;
  const made = await api.send('POST', podsOf(namespace), {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace },
    spec: { containers: [{ name: 'c', image: 'x' }], ...spec(worker) },
  });
  if (made.code !== 201) throw new Error(made.body.message);
  const answers = await Promise.all(
    writes(world, worker, name).map(async (write) => {
      await delay(random.below(12));
      return write();
    }),
  );
  if (answers.some(({ code, body }) => code === 403 && String(body.message).includes('.osmo-admission" denied'))) {
    counts.denied += 1;
  }
  await eventually('the pod is where it will be', async () => {
    const { body } = await api.send('GET', `${podsOf(namespace)}/${name}`);
    await world.pods.until(Number(body.metadata.resourceVersion));
    return boundTo(body) !== '' || isJudged(body);
  });
  const landing = await landingOf(world, { namespace, name, exempt: false });
  const states = world.pods.of(namespace, name);
  const isAstray = (pod: unknown, its: unknown): boolean => isWorkflow(pod) && isOperator(its);
  const first = states.find(({ object }) => object !== undefined && boundTo(object) !== '');
  if (first !== undefined) {
    counts.bound += 1;
    if (isAstray(states.at(-1)?.object, world.nodes.of('', node(worker)).at(-1)?.object)) counts.astray += 1;
    if (isAstray(first.object, world.nodes.at('', node(worker), first.version))) counts.late += 1;
  }
  await api.send('DELETE', `${podsOf(namespace)}/${name}`, { gracePeriodSeconds: 0 });
  return landing;
}

export function raceText({ rounds, denied, bound, astray, late }: RaceCounts): string {
  return `${rounds} rounds, ${denied} denied, ${bound} bound; ${astray} of them stand where a workflow pod may not be bound, ${late} did when the binding was stored`;
}
