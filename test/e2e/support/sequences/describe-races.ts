import { beforeAll, describe, expect, it } from 'vitest';
import { races, raceText, run } from './races.ts';
import type { World } from './world.ts';

/** The tests of two writes at once, so many rounds each. @param world asked for when a test runs: it is started before all of them. */
export function describeRaces(
  world: () => World,
  { rounds, seed, timeoutMs }: { readonly rounds: number; readonly seed: number; readonly timeoutMs: number },
): void {
  describe('two writes at once', () => {
    beforeAll(() => world().switchOff());

    for (const race of races) {
      it(
        `are each judged rightly by what was known: ${race.name}`,
        async () => {
          const counts = await run(world(), race, rounds, seed);
          console.log(`${race.name}: ${raceText(counts)}`);
          expect(counts.violations).toEqual([]);
        },
        timeoutMs,
      );
    }
  });
}
