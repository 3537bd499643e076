import { atMost } from './enforcement.ts';
import { clip } from './kube/text.ts';
import type { DecidedFinding, Finding } from './model/finding.ts';
import type { CompiledPolicy } from './model/policy.ts';
import { type AdmissionRequest, nameOf, type Phase, type Subject } from './model/request.ts';

/** Why and how a request is denied, in the API server's terms. */
export interface Denial {
  readonly code: 403 | 422;
  readonly reason: 'Forbidden' | 'UnprocessableEntity';
  readonly message: string;
}

export interface Decision {
  readonly findings: readonly DecidedFinding[];
  readonly denial: Denial | undefined;
  readonly warnings: readonly string[];
  /** Set where a finding under `enforce` could not be judged: the edge answers HTTP 500, so that failurePolicy decides. */
  readonly undecided: string | undefined;
}

/**
 * The one place that applies enforcement, preset and ceilings to what rules found.
 * The mutating phase never denies: validation sees the same object again.
 */
export function decide(
  phase: Phase,
  request: AdmissionRequest,
  subject: Subject | undefined,
  found: readonly Finding[],
  notes: readonly string[],
  policy: CompiledPolicy,
): Decision {
  const findings: DecidedFinding[] = [];
  for (const finding of found) {
    const enforcement = atMost(policy.enforcementOf(finding.rule, finding.reason), finding.atMost);
    if (enforcement !== 'off') findings.push({ ...finding, enforcement });
  }
  const enforced = phase === 'mutate' ? [] : findings.filter(({ enforcement }) => enforcement === 'enforce');
  const undecided = enforced.find((finding) => finding.undecided === true);
  const denied = enforced.length > 0 && undecided === undefined;
  return {
    findings,
    denial: denied ? denialOf(request, subject, enforced) : undefined,
    warnings: warningsOf(findings, notes),
    undecided: undecided === undefined ? undefined : `${undecided.message} ${idOf(undecided)}`,
  };
}

/** `(<rule id>/<reason>)`: ends every finding that a person reads. */
export function idOf({ rule, reason }: Finding): string {
  return `(${rule}/${reason})`;
}

/**
 * 403 Forbidden, a finding a line. A node that registers: 422 UnprocessableEntity in ONE line, because a kubelet hides the text of a
 * Forbidden and logs `err=<` where a line breaks.
 */
function denialOf(request: AdmissionRequest, subject: Subject | undefined, findings: readonly Finding[]): Denial {
  const texts = findings.map((finding) => `${finding.message} ${idOf(finding)}`);
  if (request.kind === 'Node' && request.operation === 'CREATE') {
    return { code: 422, reason: 'UnprocessableEntity', message: texts.join('; ') };
  }
  if (texts.length === 1) return { code: 403, reason: 'Forbidden', message: texts[0] ?? '' };
  const own = subject === undefined ? '' : nameOf(subject);
  const who = clip(own === '' ? request.name : own, 253);
  const lines = texts.map((text) => `\n- ${text}`).join('');
  return {
    code: 403,
    reason: 'Forbidden',
    message: `${request.kind.toLowerCase()} ${who} has ${texts.length} findings:${lines}`,
  };
}

/** Longest warning: beyond it some clients cut. The API server drops one with a line break or a tab. */
const maxWarningLength = 120;

/** The API server cuts every warning to 256 characters once they exceed 4,096 in total. */
const maxWarningsLength = 4_096;

/** The short form of every finding that is answered with a warning, then notes. */
function warningsOf(findings: readonly DecidedFinding[], notes: readonly string[]): readonly string[] {
  const lines = findings
    .filter(({ enforcement }) => enforcement === 'warn' || enforcement === 'quarantine')
    .map((finding) => {
      const id = idOf(finding);
      return `${clip(finding.short, maxWarningLength - id.length - 1)} ${id}`;
    });
  const warnings: string[] = [];
  let total = 0;
  for (const line of [...lines, ...notes.map((note) => clip(note, maxWarningLength))]) {
    total += line.length;
    if (total > maxWarningsLength) break;
    warnings.push(line);
  }
  return warnings;
}
