import { violations, violationText } from '../policy/facts/conformance.ts';
import type { Node } from '../policy/model/node.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import { awaitedUntilMs, type Marks, marksDue, quarantineFacts, unmarked } from '../policy/quarantine.ts';
import { quarantineSettings } from '../policy/rules/node-quarantine.ts';

/** What nodes are held against at a look. */
export interface Terms {
  /** Undefined while quarantine is off. */
  readonly policy: CompiledPolicy | undefined;
  /** When quarantine was switched on. */
  readonly onSinceMs: number;
  readonly nowMs: number;
}

/** What a look finds of a node. */
export interface Duty {
  readonly due: Marks;
  /** What it violates without being marked for it, for people; empty for nothing. */
  readonly reported: string;
}

const nothing: Duty = { due: unmarked, reported: '' };

/** Judges a node; each one once as long as it, the policy and what time has to do with it are the same. */
export function createDutyJudge(isExempt: (node: Node, policy: CompiledPolicy) => boolean) {
  let kept: { readonly policy: CompiledPolicy; readonly onSinceMs: number; readonly duties: WeakMap<Node, TimedDuty> };
  return (node: Node, { policy, onSinceMs, nowMs }: Terms): Duty => {
    // Not kept: an exemption ends on its day.
    if (policy === undefined || isExempt(node, policy)) return nothing;
    if (kept?.policy !== policy || kept.onSinceMs !== onSinceMs) kept = { policy, onSinceMs, duties: new WeakMap() };
    const before = kept.duties.get(node);
    if (before !== undefined && nowMs < before.untilMs) return before;
    const duty = dutyOf(node, policy, onSinceMs, nowMs);
    kept.duties.set(node, duty);
    return duty;
  };
}

interface TimedDuty extends Duty {
  readonly untilMs: number;
}

function dutyOf(node: Node, policy: CompiledPolicy, onSinceMs: number, nowMs: number): TimedDuty {
  const { awaited, awaitForMs } = quarantineSettings(policy);
  const due = marksDue({ node, policy, awaited, awaitForMs, onSinceMs, nowMs });
  return {
    due,
    reported: due.mark === undefined ? violationsOf(node, policy) : '',
    untilMs: due.mark === 'awaited' ? awaitedUntilMs(node, awaitForMs, nowMs) : Number.POSITIVE_INFINITY,
  };
}

/** What a node is quarantined for, for people; empty for nothing. */
export function violationsOf(node: Node, policy: CompiledPolicy): string {
  return violations(quarantineFacts(node, policy))
    .map((fact) => violationText(fact, node, policy))
    .join('; ');
}
