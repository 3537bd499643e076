import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { describe, expect, inject, it } from 'vitest';
import { matchesLabels, nodeMatcher } from '../../src/policy/kube/node-selector.ts';
import { isPositiveQuantity, parseQuantity } from '../../src/policy/kube/quantity.ts';
import { tolerates } from '../../src/policy/kube/taint.ts';
import { readNode } from '../../src/policy/model/read-node.ts';
import { readPod } from '../../src/policy/model/read-pod.ts';
import { createRandom } from './support/random-cluster.ts';
import { type Pair, randomPair, randomQuantity } from './support/random-pairs.ts';

/*
 * What we take Kubernetes to mean, against Kubernetes' own Go code (`test/cluster/tools/oracle`): node selection, tolerations,
 * quantities. `E2E_SEED` repeats a run.
 */

const seed = Number(process.env.E2E_SEED ?? Date.now() % 1_000_000);
const pairCount = 200_000;
const quantityCount = 100_000;

/** The oracle's answer to one question; see its main.go. */
interface Answer {
  readonly selected: boolean;
  readonly tolerated: readonly boolean[] | null;
  readonly nano: string | null;
  readonly sign: number;
}

/** Asks all questions at once, and hands each answer over as it comes. */
async function askAll<T>(
  questions: readonly T[],
  ask: (question: T) => object,
  take: (question: T, answer: Answer) => void,
) {
  const oracle = spawn(inject('binaries').oracle, { stdio: ['pipe', 'pipe', 'inherit'] });
  const sent = (async (): Promise<void> => {
    for (const question of questions) {
      if (!oracle.stdin.write(`${JSON.stringify(ask(question))}\n`)) {
        await new Promise((resolve) => oracle.stdin.once('drain', resolve));
      }
    }
    oracle.stdin.end();
  })();
  let index = 0;
  for await (const line of createInterface({ input: oracle.stdout })) {
    const question = questions[index];
    index += 1;
    if (question !== undefined) take(question, JSON.parse(line));
  }
  await sent;
  expect(index).toBe(questions.length);
}

/** Our answer to a pair. */
function judge({ pod, node }: Pair): Pick<Answer, 'selected' | 'tolerated'> {
  const { placement } = readPod(pod, 'pod', '');
  const { labels, taints, name } = readNode(node, 'node');
  return {
    selected: matchesLabels(placement.nodeSelector, labels) && nodeMatcher(placement.terms)({ name, labels }),
    tolerated: taints.map((taint) => placement.tolerations.some((toleration) => tolerates(toleration, taint))),
  };
}

describe(`what we take Kubernetes to mean, seed ${seed}`, () => {
  it(`is what its Go code says of ${pairCount} random pods and nodes, invalid ones included`, async () => {
    const random = createRandom(seed);
    const pairs = Array.from({ length: pairCount }, () => randomPair(random));
    const differences: object[] = [];
    const seen = { selected: 0, tolerated: 0, taints: 0 };
    await askAll(
      pairs,
      (pair) => pair,
      (pair, { selected, tolerated }) => {
        const ours = judge(pair);
        const theirs = { selected, tolerated: tolerated ?? [] };
        if (selected) seen.selected += 1;
        for (const is of theirs.tolerated) {
          seen.taints += 1;
          if (is) seen.tolerated += 1;
        }
        if (JSON.stringify(ours) !== JSON.stringify(theirs)) differences.push({ pair, ours, theirs });
      },
    );
    console.log(
      `${pairCount} pairs: ${seen.selected} nodes selected, ${seen.tolerated} of ${seen.taints} taints tolerated`,
    );
    expect(differences.slice(0, 3)).toEqual([]);
    // A comparison of what is always false would show nothing.
    for (const share of [seen.selected / pairCount, seen.tolerated / seen.taints]) {
      expect(share).toBeGreaterThan(0.1);
      expect(share).toBeLessThan(0.9);
    }
  }, 300_000);

  it(`is what its Go code says of ${quantityCount} random quantities, invalid ones included`, async () => {
    const random = createRandom(seed);
    const texts = Array.from({ length: quantityCount }, () => randomQuantity(random));
    const differences: object[] = [];
    let valid = 0;
    await askAll(
      texts,
      (quantity) => ({ quantity }),
      (quantity, { nano, sign }) => {
        if (nano !== null) valid += 1;
        const ours = [parseQuantity(quantity), isPositiveQuantity(quantity)];
        const theirs = nano === null ? [undefined, undefined] : [clamp(BigInt(nano)), sign > 0];
        if (ours[0] !== theirs[0] || ours[1] !== theirs[1]) {
          differences.push({ quantity, ours: String(ours), theirs: String(theirs), nano });
        }
      },
    );
    console.log(`${quantityCount} quantities: ${valid} valid`);
    expect(differences.slice(0, 5)).toEqual([]);
    expect(valid / quantityCount).toBeGreaterThan(0.3);
    expect(valid / quantityCount).toBeLessThan(0.95);
  }, 300_000);
});

/** Kubernetes cuts a quantity to an int64 of whole units: partly when it reads it, partly when it is used. We cut when we read. */
function clamp(nano: bigint): bigint {
  const most = (2n ** 63n - 1n) * 1_000_000_000n;
  return nano > most ? most : nano < -most ? -most : nano;
}
