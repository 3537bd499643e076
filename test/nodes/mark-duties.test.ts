import { describe, expect, it } from 'vitest';
import { createDutyJudge, type Duty } from '../../src/cluster/mark-duties.ts';
import { readNode } from '../../src/policy/model/read-node.ts';
import { type NodeOptions, newEnough, nodeOf, policyOf } from './reconciled.ts';

const onSinceMs = Date.parse('2026-11-25T10:00:00Z');
const nowMs = Date.parse('2026-11-25T11:05:00Z');
const policy = policyOf({ awaited: ['driver'] });
const read = (options: NodeOptions) => readNode(nodeOf('n', options), 'Node');

describe('a node is judged once', () => {
  const node = read({ driver: newEnough });

  it('for as long as it and the policy are the same', () => {
    const judge = createDutyJudge(() => false);
    const first = judge(node, { policy, onSinceMs, nowMs });
    expect(judge(node, { policy, onSinceMs, nowMs: nowMs + 1_000_000_000 })).toBe(first);
  });

  it.each([
    ['another node object', read({ driver: newEnough }), {}],
    ['another policy', node, { policy: policyOf({ awaited: ['driver'] }) }],
    ['another Lease', node, { onSinceMs: onSinceMs + 1 }],
  ])('and anew for %s', (_, next, terms) => {
    const judge = createDutyJudge(() => false);
    const first = judge(node, { policy, onSinceMs, nowMs });
    const second = judge(next, { policy, onSinceMs, nowMs, ...terms });
    expect(second).not.toBe(first);
    expect(second).toEqual(first);
  });

  it('while it owes what is awaited: until that has ended', () => {
    const judge = createDutyJudge(() => false);
    const slow = read({ created: '2026-11-25T11:00:00Z' });
    const at = (time: string): Duty => judge(slow, { policy, onSinceMs, nowMs: Date.parse(time) });
    const first = at('2026-11-25T11:05:00Z');
    expect(first.due.mark).toBe('awaited');
    expect(at('2026-11-25T11:14:59.999Z')).toBe(first);
    expect(at('2026-11-25T11:15:00Z').due.mark).toBeUndefined();
  });
});
