import { type Decision, decide } from './decide.ts';
import { exemptionFor } from './exemptions.ts';
import type { Edit } from './model/edit.ts';
import type { Finding } from './model/finding.ts';
import type { CompiledPolicy } from './model/policy.ts';
import type { AdmissionRequest, Phase, Subject } from './model/request.ts';
import type { NodeLookup } from './model/snapshot.ts';
import type { ClusterView } from './model/view.ts';
import type { BoundRule } from './rule.ts';

export interface EvaluateInput {
  readonly phase: Phase;
  readonly request: AdmissionRequest;
  readonly policy: CompiledPolicy;
  readonly view: ClusterView;
  readonly lookups: ReadonlyMap<string, NodeLookup>;
  /** Milliseconds of the Unix epoch. */
  readonly nowMs: number;
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

/** Rules that read this request: by resource and operation, subresources excluded. */
export function rulesFor(request: AdmissionRequest, rules: readonly BoundRule[]): readonly BoundRule[] {
  if (request.subResource !== '') return [];
  return rules.filter(({ on }) =>
    on.some(
      ({ group, resource, operations }) =>
        group === request.resource.group &&
        resource === request.resource.resource &&
        operations.includes(request.operation),
    ),
  );
}

/** Rules that judge the request under this policy: switched on, about such a subject, and not exempted. */
function judging(
  { request, policy, nowMs }: Pick<EvaluateInput, 'request' | 'policy' | 'nowMs'>,
  subject: Subject,
  rules: readonly BoundRule[],
): { readonly judges: readonly BoundRule[]; readonly exemptions: readonly UsedExemption[] } {
  const judges: BoundRule[] = [];
  const used = new Map<string, string[]>();
  for (const rule of rulesFor(request, rules)) {
    if (!rule.judges(subject, policy)) continue;
    const exemption = exemptionFor(rule.id, request, subject, policy, nowMs);
    if (exemption === undefined) judges.push(rule);
    else used.set(exemption.reason, [...(used.get(exemption.reason) ?? []), rule.id]);
  }
  return { judges, exemptions: [...used].map(([reason, ids]) => ({ reason, rules: ids })) };
}

/** Names of the nodes that must be known before `evaluate`. Mostly none: then nothing is awaited. */
export function neededNodes(
  input: Pick<EvaluateInput, 'phase' | 'request' | 'policy' | 'nowMs'>,
  rules: readonly BoundRule[],
): readonly string[] {
  const { request, phase } = input;
  const { subject } = request;
  if (subject === undefined) return [];
  const { judges } = judging(input, subject, rules);
  return [...new Set(judges.flatMap((rule) => rule.needs(request, subject, phase)))];
}

/** Judges one request. Pure: the same input gives the same answer. Never throws on a parsed request. */
export function evaluate(input: EvaluateInput, rules: readonly BoundRule[]): Evaluation {
  const { phase, request, policy } = input;
  const { subject } = request;
  if (subject === undefined) {
    return {
      rules: [],
      findings: [],
      edits: [],
      exemptions: [],
      warnings: [],
      denial: undefined,
      undecided: undefined,
    };
  }
  const { judges, exemptions } = judging(input, subject, rules);
  const found: Finding[] = [];
  const edits: Edit[] = [];
  const notes: string[] = [];
  for (const rule of judges) {
    const result = rule.evaluate({ ...input, subject });
    found.push(...result.findings);
    edits.push(...result.edits);
    notes.push(...result.notes);
  }
  const decision = decide(phase, request, subject, found, notes, policy);
  return { rules: judges.map(({ id }) => id), ...decision, edits, exemptions };
}
