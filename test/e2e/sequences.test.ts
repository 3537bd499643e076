import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { checkSequences } from './support/sequences/check.ts';
import { textOf } from './support/sequences/counts.ts';
import { describeRaces } from './support/sequences/describe-races.ts';
import { startWorld, type World } from './support/sequences/world.ts';

/*
 * Random sequences of writes by users of different rights, with the scheduler on. No workflow pod may get an operator node, by the very nodes that
 * the decision went by; no harmless write may be refused; no harmful one may pass. `E2E_SEED` repeats a run. 500 of them: full/sequences.test.ts.
 */

const seed = Number(process.env.E2E_SEED ?? Date.now() % 1_000_000);

let world: World;

beforeAll(async () => {
  world = await startWorld(inject('binaries'));
}, 120_000);

afterAll(() => world?.close(), 60_000);

describe(`25 random sequences of writes, seed ${seed}`, () => {
  it('bind no workflow pod to an operator node, are refused nothing harmless and admitted nothing harmful', async () => {
    const { counts, failures } = await checkSequences(world, {
      seed,
      runs: Number(process.env.RUNS ?? 25),
      untilFound: process.env.RUNS !== undefined,
    });
    console.log(`seed ${seed}: ${textOf(counts)}`);
    expect(failures).toEqual([]);
    expect(counts.sequences).toBe(25);
    expect(counts.denied).toBeGreaterThan(0);
    expect(counts.boundWorkflow).toBeGreaterThan(0);
  }, 900_000);
});

describe('the same sequences find that a rule is off', () => {
  const rows: readonly { readonly off: readonly string[]; readonly about: RegExp; readonly why: string }[] = [
    { off: ['operator-node-guard'], about: /^landed/, why: 'a workflow pod gets an operator node' },
    // The guard refuses the scheduler's Binding, so none lands there; the pods wait for nothing.
    { off: ['placement'], about: /^stored/, why: 'a workflow pod is stored with operator nodes open to it' },
    {
      off: ['operator-node-guard', 'placement'],
      about: /^landed: \S+ was bound by admin/,
      why: 'the scheduler itself brings workflow pods there',
    },
    { off: ['exemptions'], about: /^admitted/, why: 'the note of an exemption is forged' },
    { off: ['exemptions'], about: /^refused/, why: 'an exempt user’s pod is judged like any other afterwards' },
    { off: ['node-identity'], about: /^admitted/, why: 'a kubelet changes the type of its node' },
  ];
  for (const { off, about, why } of rows) {
    it(`${off.join(' and ')}: ${why}`, async () => {
      await world.switchOff(...off);
      const { counts, failures } = await checkSequences(world, { seed: 1, runs: 200, untilFound: true, about });
      console.log(`without ${off.join(' and ')}: found by ${textOf(counts)}`);
      expect(failures.length).toBeGreaterThan(0);
    }, 300_000);
  }
});

describeRaces(() => world, { rounds: 30, seed, timeoutMs: 120_000 });
