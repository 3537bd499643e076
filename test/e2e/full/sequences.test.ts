import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { checkSequences } from '../support/sequences/check.ts';
import { textOf } from '../support/sequences/counts.ts';
import { describeRaces } from '../support/sequences/describe-races.ts';
import { startWorld, type World } from '../support/sequences/world.ts';

/* The sequences of ../sequences.test.ts, 500 of them, and more rounds of the races. */

const seed = Number(process.env.E2E_SEED ?? Date.now() % 1_000_000);

let world: World;

beforeAll(async () => {
  world = await startWorld(inject('binaries'));
}, 120_000);

afterAll(() => world?.close(), 60_000);

describe(`random sequences of writes, seed ${seed}`, () => {
  it('500: bind no workflow pod to an operator node, are refused nothing harmless and admitted nothing harmful', async () => {
    const { counts, failures } = await checkSequences(world, { seed, runs: 500 });
    console.log(`seed ${seed}: ${textOf(counts)}`);
    console.log([...counts.refused].map(([why, times]) => `${times} x ${why}`).join('\n'));
    expect(failures).toEqual([]);
    expect(counts.sequences).toBe(500);
    expect(counts.boundWorkflow).toBeGreaterThan(0);
  }, 1_800_000);

  it('100 without placement: bind none there either, since the guard refuses the Binding', async () => {
    await world.switchOff('placement');
    const { counts, failures } = await checkSequences(world, { seed, runs: 100, about: /^landed/ });
    console.log(`without placement: ${textOf(counts)}`);
    expect(failures).toEqual([]);
  }, 900_000);
});

describeRaces(() => world, { rounds: 300, seed, timeoutMs: 600_000 });
