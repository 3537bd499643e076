import { eventually } from '../../../cluster/wait.ts';
import { boundTo, isJudged } from '../pods.ts';
import type { Counts } from './counts.ts';
import { landingOf } from './landing.ts';
import { nodesOf, performOnNode } from './node-operations.ts';
import type { Operation } from './operations.ts';
import { type Made, performOnPod } from './pod-operations.ts';
import { podsOf, withNames } from './requests.ts';
import { poolNode, resetPool, type World } from './world.ts';
import { createWriter, type Violation } from './writer.ts';

/**
 * Runs a sequence with the nodes of a worker, one write after the other; after each write of a node it waits until the index has seen it.
 * @returns what went wrong; empty where nothing did.
 */
export async function runSequence(
  world: World,
  worker: number,
  prefix: string,
  operations: readonly Operation[],
  counts: Counts,
): Promise<readonly Violation[]> {
  await resetPool(world, worker);
  const writer = createWriter(world, counts);
  const made: Made[] = [];
  const nodes = nodesOf(world, worker);
  const pods = { world, writer, worker, prefix, nodes, made };
  const nameOfNode = (index: number): string => (index === 9 ? `${prefix}-ghost` : poolNode(worker, index));
  try {
    for (const unnamed of operations) {
      const operation = withNames(unnamed, nameOfNode);
      if (operation.do === 'settle') await settled(world, made);
      else if ('pod' in operation || operation.do === 'create') await performOnPod(pods, operation);
      else await performOnNode(world, writer, nodes, operation);
    }
    await settled(world, made);
    for (const pod of made) {
      const { bound, workflow, raced, violation } = await landingOf(world, pod);
      counts.bound += bound ? 1 : 0;
      counts.boundWorkflow += workflow ? 1 : 0;
      counts.races += raced ? 1 : 0;
      if (violation !== undefined) writer.violated('landed', violation);
    }
  } finally {
    await Promise.all(
      made.map(({ namespace, name }) =>
        world.plane.api.send('DELETE', `${podsOf(namespace)}/${name}`, { gracePeriodSeconds: 0 }),
      ),
    );
  }
  counts.sequences += 1;
  return writer.violations;
}

/** Resolves when the scheduler has said yes or no to each pod that is still there. */
function settled({ pods }: World, made: readonly Made[]): Promise<void> {
  return eventually('the scheduler has judged every pod', () =>
    made
      .flatMap(({ namespace, name }) => pods.of(namespace, name).at(-1)?.object ?? [])
      .every((pod) => boundTo(pod) !== '' || isJudged(pod)),
  );
}
