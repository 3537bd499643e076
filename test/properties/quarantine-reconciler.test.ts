import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Node } from '../../src/policy/model/node.ts';
import { readNode } from '../../src/policy/model/read-node.ts';
import { isQuarantineOn, type Marks, marksDue, unmarked } from '../../src/policy/quarantine.ts';
import { quarantineSettings } from '../../src/policy/rules/node-quarantine.ts';
import { isQuarantineExempt } from '../../src/policy/standing.ts';
import { newEnough, nodeOf, onSince, policyOf, type Reconciled, startReconciled, tooOld } from '../nodes/reconciled.ts';

/* Looks of the reconciler at random nodes, between which facts, marks, policy and time change. */

const drivers = [tooOld, newEnough, 'garbage'];
const marks = ['violated', 'awaited', 'something'];

const node = fc.record(
  {
    driver: fc.constantFrom(...drivers),
    type: fc.constantFrom('gpu', 'compute', 'operator', 'unheard-of'),
    mark: fc.constantFrom(...marks),
    verified: fc.constantFrom('gpu', 'compute', 'untyped'),
    created: fc.constantFrom('2026-11-25T09:00:00Z', onSince, '2026-11-25T11:00:00Z', '2026-11-25T11:05:00Z'),
  },
  { requiredKeys: ['created'], noNullPrototype: true },
);
const nodes = fc
  .array(node, { minLength: 1, maxLength: 5 })
  .map((list) => list.map((options, i) => nodeOf(`n${i}`, options)));

const policy = fc.constantFrom(
  policyOf(),
  policyOf({ awaited: ['driver'] }),
  policyOf({ awaited: ['driver'], awaitFor: '10s' }),
  policyOf({}, { driver: { minimum: '560.0.0' } }),
  policyOf({}, {}, { exemptions: [{ reason: 'a test bench', nodes: ['n0'] }] }),
  policyOf({ enforcement: 'audit' }),
);

type Change = (run: Reconciled) => void;
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(fc.nat(4), fc.constantFrom(...drivers, null)).map(
    ([i, version]): Change =>
      (run) =>
        run.setDriver(`n${i}`, version),
  ),
  fc.tuple(fc.nat(4), fc.constantFrom(...marks, null)).map(
    ([i, value]): Change =>
      (run) =>
        run.write(`n${i}`, { 'osmo-admission/quarantined': value }),
  ),
  policy.map(
    (value): Change =>
      (run) =>
        Object.assign(run.world, { policy: value }),
  ),
  fc.nat(20 * 60_000).map(
    (ms): Change =>
      (run) =>
        run.pass(ms),
  ),
);

const live = (run: Reconciled): readonly Node[] => run.server.nodes.map((object) => readNode(object, 'Node'));
const marksOf = ({ labels, verified }: Node): Marks => ({ mark: labels['osmo-admission/quarantined'], verified });

/** What each node should bear, by what it is now, with nothing kept from before. */
function due(run: Reconciled): readonly Marks[] {
  const { policy } = run.world;
  const { awaited, awaitForMs } = quarantineSettings(policy);
  const onSinceMs = Date.parse(onSince);
  return live(run).map((node) =>
    !isQuarantineOn(policy) || isQuarantineExempt(node, policy, run.now())
      ? unmarked
      : marksDue({ node, policy, awaited, awaitForMs, onSinceMs, nowMs: run.now() }),
  );
}

describe('looks at any nodes, whatever changes in between', () => {
  it('bring each node what is due of it at once, and then write nothing', async () => {
    await fc.assert(
      fc.asyncProperty(nodes, policy, fc.array(change, { maxLength: 4 }), async (objects, policy, changes) => {
        const run = await startReconciled(objects, { policy, state: 'unsynced' });
        const sync: Change = ({ world }) => Object.assign(world, { state: 'synced' });
        try {
          // Five writes to one node at most: another would find a truce.
          for (const next of [sync, ...changes]) {
            next(run);
            const expected = due(run);
            await run.look(0);
            expect(live(run).map(marksOf)).toEqual(expected);
            expect(due(run)).toEqual(expected);
            const writes = run.nodeWrites().length;
            await run.look(0);
            expect(run.nodeWrites()).toHaveLength(writes);
          }
        } finally {
          await run.close();
        }
      }),
      { numRuns: 150 },
    );
  });
});
