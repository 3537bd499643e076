import { type Decision, decide } from './decide.ts';
import { withEdits } from './edited.ts';
import { exemptedAtCreation } from './exempted.ts';
import { exemptionFor } from './exemptions.ts';
import type { Edit } from './model/edit.ts';
import type { Finding } from './model/finding.ts';
import type { NoteKeeper } from './model/notes.ts';
import type { CompiledPolicy } from './model/policy.ts';
import { type AdmissionRequest, type Phase, pathOf, type Subject } from './model/request.ts';
import { type Lookups, podKey } from './model/snapshot.ts';
import type { ClusterView } from './model/view.ts';
import type { BoundRule, Need } from './rule.ts';
import { tooLarge } from './too-large.ts';

export interface EvaluateInput {
  readonly phase: Phase;
  readonly request: AdmissionRequest;
  readonly policy: CompiledPolicy;
  readonly view: ClusterView;
  readonly lookups: Lookups;
  /** Milliseconds of the Unix epoch. */
  readonly nowMs: number;
  readonly notes: NoteKeeper;
}

export interface UsedExemption {
  readonly reason: string;
  readonly rules: readonly string[];
}

export interface Evaluation extends Decision {
  /** Ids of the rules that judged the object. */
  readonly rules: readonly string[];
  readonly edits: readonly Edit[];
  readonly exemptions: readonly UsedExemption[];
}

/** What will judge a request, and what must be known first. */
export interface Preparation {
  readonly judges: readonly BoundRule[];
  readonly exemptions: readonly UsedExemption[];
  /** What must be known first, and is not among the look-ups yet. Mostly nothing: then nothing is awaited. */
  readonly needs: readonly Need[];
}

const unjudged: Preparation = { judges: [], exemptions: [], needs: [] };

/** Picks the rules that judge the request under this policy: those that read it, are not off, judge such a subject, and are not exempted from. */
export function prepare(input: Omit<EvaluateInput, 'view'>, rules: readonly BoundRule[]): Preparation {
  const { phase, request, policy, lookups, nowMs, notes } = input;
  const { subject } = request;
  const isRead = (rule: BoundRule): boolean =>
    reads(rule, request, phase, policy) && policy.enforcementOf(rule.id, '') !== 'off';
  if (request.excess !== undefined) return { ...unjudged, judges: rules.filter(isRead) };
  if (subject === undefined) return unjudged;
  const judges: BoundRule[] = [];
  const exemptions: { reason: string; rules: string[] }[] = [];
  const needs: Need[] = [];
  for (const rule of rules) {
    if (!isRead(rule) || !rule.judges(subject, policy)) continue;
    const reason =
      rule.exemptible === false
        ? undefined
        : (exemptionFor(rule.id, request, subject, policy, nowMs, lookups)?.reason ??
          exemptedAtCreation(rule.id, subject, policy, lookups, notes));
    if (reason !== undefined) {
      const used = exemptions.find((exemption) => exemption.reason === reason);
      if (used === undefined) exemptions.push({ reason, rules: [rule.id] });
      else used.rules.push(rule.id);
      continue;
    }
    judges.push(rule);
    for (const need of rule.needs({ phase, request, subject, policy, lookups })) {
      if (!isAnswered(need, lookups) && !needs.some((other) => sameNeed(other, need))) needs.push(need);
    }
  }
  return { judges, exemptions, needs };
}

function isAnswered(need: Need, { nodes, pods }: Lookups): boolean {
  return need.kind === 'node' ? nodes.has(need.name) : pods.has(podKey(need.namespace, need.name));
}

function sameNeed(a: Need, b: Need): boolean {
  if (a.kind === 'node' || b.kind === 'node') return a.kind === b.kind && a.name === b.name;
  return a.namespace === b.namespace && a.name === b.name;
}

/** Whether a rule reads such requests in such a phase: by resource, subresource and operation. */
function reads({ on, phases }: BoundRule, request: AdmissionRequest, phase: Phase, policy: CompiledPolicy): boolean {
  const path = pathOf(request);
  return on.some(
    (match) =>
      match.group === request.resource.group &&
      match.resource === path &&
      match.operations.includes(request.operation) &&
      (match.phases ?? phases(policy.policy)).includes(phase),
  );
}

/** Judges one request. Pure: the same input gives the same answer. Never throws on a parsed request. */
export function evaluate(input: EvaluateInput, { judges, exemptions }: Preparation): Evaluation {
  const { phase, request, policy } = input;
  const { subject, excess } = request;
  if (excess !== undefined) {
    const ids = judges.map(({ id }) => id);
    return {
      rules: ids,
      ...decide(phase, request, undefined, tooLarge(ids, excess, policy), [], policy),
      edits: [],
      exemptions,
    };
  }
  if (subject === undefined) {
    return { rules: [], findings: [], edits: [], exemptions, warnings: [], denial: undefined, undecided: undefined };
  }
  const found: Finding[] = [];
  const edits: Edit[] = [];
  const notes: string[] = [];
  let present: Subject = subject;
  for (const rule of judges) {
    const result = rule.evaluate({ ...input, subject: present });
    found.push(...result.findings);
    // Whatever a rule would change: monitor only watches.
    if (policy.policy.preset !== 'monitor') {
      edits.push(...result.edits);
      present = withEdits(present, result.edits);
    }
    notes.push(...result.notes);
  }
  const decision = decide(phase, request, subject, found, notes, policy);
  return { rules: judges.map(({ id }) => id), ...decision, edits, exemptions };
}
