import fc from 'fast-check';
import { type Counts, noCounts } from './counts.ts';
import { type Operation, sequences } from './operations.ts';
import { runSequence } from './run.ts';
import { type World, workers } from './world.ts';

export interface CheckOptions {
  readonly seed: number;
  readonly runs: number;
  /** Stops at the first sequence that finds something, without making it smaller. */
  readonly untilFound?: boolean;
  /** Looks only for violations whose kind and text it matches. */
  readonly about?: RegExp;
}

export interface Checked {
  readonly counts: Counts;
  /** The smallest sequence that each worker's findings come down to, and what they were. */
  readonly failures: readonly string[];
}

/** A sequence that does what none may; any other error is the test's own. */
class Found extends Error {}

/** Runs are told apart by name, also those of shrinking. */
let started = 0;

/** Random sequences, some at once, each with nodes of its own. The same seed draws the same. */
export async function checkSequences(
  world: World,
  { seed, runs, untilFound = false, about }: CheckOptions,
): Promise<Checked> {
  const counts = noCounts();
  let isFound = false;
  const check = async (worker: number): Promise<string | undefined> => {
    const property = fc.asyncProperty(sequences, async (operations: readonly Operation[]) => {
      if (untilFound && isFound) return;
      const found = await runSequence(world, worker, `r${++started}`, operations, counts);
      const violations = found.map(({ kind, text }) => `${kind}: ${text}`).filter((text) => about?.test(text) ?? true);
      if (violations.length === 0) return;
      isFound = true;
      throw new Found(violations.join('\n\n'));
    });
    const share = Math.floor(runs / workers) + (worker < runs % workers ? 1 : 0);
    const result = await fc.check(property, {
      ...{ seed: seed * workers + worker, numRuns: share, endOnFailure: untilFound },
      // Shrinking runs sequences on a real cluster: what it has found by then is small enough.
      interruptAfterTimeLimit: 10 * 60_000,
    });
    if (!result.failed) return undefined;
    const sequence = JSON.stringify(result.counterexample);
    const where = `seed ${seed}, worker ${worker}, path ${result.counterexamplePath}:\n${sequence}`;
    const error = result.errorInstance;
    if (!(error instanceof Found)) throw new Error(`${where}\ncould not be run: ${error}`, { cause: error });
    return `${where}\n${error.message}`;
  };
  const results = await Promise.all(Array.from({ length: workers }, (_, worker) => check(worker)));
  return { counts, failures: results.filter((failure) => failure !== undefined) };
}
