import { atMost } from './enforcement.ts';
import { exemptionFor } from './exemptions.ts';
import { type Shrinkage, shrinkage } from './facts/capacity.ts';
import {
  conformanceId,
  conformanceSettings,
  controlPlaneCeiling,
  needsText,
  newViolations,
  violations,
  violationText,
} from './facts/conformance.ts';
import { type Reason, reasons } from './facts/reasons.ts';
import { clip } from './kube/text.ts';
import type { Node } from './model/node.ts';
import type { CompiledPolicy } from './model/policy.ts';
import { isOperatorNode, typeOf } from './model/view.ts';
import { isQuarantineOn, marksOf, quarantineFacts } from './quarantine.ts';
import { nobody } from './standing.ts';

/*
 * What the watch shows of a node that was there before and has changed: a kubelet that was upgraded or went back, another address, memory
 * that is gone. None of it is an admission request that anybody judges, or is a kubelet's heartbeat; so it is reported.
 */

/** Every reason for a report, as metrics name them: those of node-conformance, and what only a change can show. */
export const changeReasons = [...reasons, 'capacity', 'type-changed', 'quarantined'] as const;

/** What each means that is no reason of node-conformance, for docs. */
export const changeTexts: Readonly<Record<Exclude<ChangeReason, Reason>, string>> = {
  capacity: 'The node shows less cpu, memory, disk or huge pages than before.',
  'type-changed': 'The node is of another type, or an operator node, while workflow pods run there.',
  quarantined: 'The node bears the mark: new workflow pods stay off it.',
};

export type ChangeReason = (typeof changeReasons)[number];

/** One thing to report of a node. */
export interface NodeChange {
  readonly reason: ChangeReason;
  /** What has changed, what it must be, what to do; one sentence. */
  readonly message: string;
  /** Whether people are told of it on the node itself; else it stands in the log only. */
  readonly isEvent: boolean;
}

/**
 * What is worth a report of a node that changed: what it violates now and did not before, and capacity that shrank. Nothing of a node that
 * is another machine under the same name, or that the policy exempts by name; nothing that is off.
 */
export function nodeChanges(node: Node, before: Node, policy: CompiledPolicy, nowMs: number): readonly NodeChange[] {
  if (node.createdAtMs !== before.createdAtMs) return [];
  if (exemptionFor(conformanceId, nobody, { kind: 'node', node, old: undefined }, policy, nowMs) !== undefined)
    return [];
  const ceiling = controlPlaneCeiling(node, policy);
  const of = (reason: Reason | 'capacity', message: string): readonly NodeChange[] => {
    const enforcement = atMost(policy.enforcementOf(conformanceId, reason === 'capacity' ? 'memory' : reason), ceiling);
    return enforcement === 'off' || message === '' ? [] : [{ reason, message, isEvent: enforcement !== 'audit' }];
  };
  return [
    ...newViolations(node, before, policy).flatMap((fact) =>
      of(
        fact.reason,
        `${fact.field} is now ${fact.has}, needs ${needsText(fact, node, policy)}: ${fact.fix} (${conformanceId}/${fact.reason})`,
      ),
    ),
    ...of('capacity', shrinkageText(shrinkage(node, before, conformanceSettings(policy)))),
  ];
}

/** As many as a person reads: whoever writes a status can name thousands. */
const maxResources = 3;

/** One sentence for all that shrank at once; empty for nothing. */
function shrinkageText(shrunk: readonly Shrinkage[]): string {
  if (shrunk.length === 0) return '';
  const texts = shrunk
    .slice(0, maxResources)
    .map(({ resource, had, has }) => `${clip(resource, 60)} from ${clip(had, 40)} to ${clip(has, 40)}`);
  const more = shrunk.length > maxResources ? ` and ${shrunk.length - maxResources} more` : '';
  return `status.capacity shrank: ${texts.join(', ')}${more}; see whether hardware failed or the machine was reconfigured`;
}

/**
 * What a node has become that workflow pods on it were not placed for; undefined where nothing of that kind changed.
 * `from` and `to` are for people: `gpu`, `an operator node`.
 */
export function roleChange(
  node: Node,
  before: Node,
  policy: CompiledPolicy,
): { readonly from: string; readonly to: string } | undefined {
  if (node.createdAtMs !== before.createdAtMs) return undefined;
  const [from, to] = [roleOf(before, policy), roleOf(node, policy)];
  return from === to ? undefined : { from, to };
}

/** Why a node that did not bear the mark bears it now; undefined where that is not so. A node that was not there before bore none. */
export function newMark(node: Node, before: Node | undefined, policy: CompiledPolicy): string | undefined {
  if (!isQuarantineOn(policy)) return undefined;
  const { mark } = marksOf(node);
  const had = before?.createdAtMs === node.createdAtMs ? before : undefined;
  if (mark === undefined || (had !== undefined && marksOf(had).mark !== undefined)) return undefined;
  const facts = quarantineFacts(node, policy);
  const violated = violations(facts).map((fact) => violationText(fact, node, policy));
  const unknown = facts
    .filter(({ verdict }) => verdict === 'unknown')
    .map(({ reason }) => `${reason} is not known yet`);
  return clip([...violated, ...unknown].join('; '), 600);
}

function roleOf(node: Node, policy: CompiledPolicy): string {
  return isOperatorNode(node, policy) ? 'an operator node' : (typeOf(node, policy) ?? 'untyped');
}
