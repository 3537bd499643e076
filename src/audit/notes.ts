import { clip } from '../policy/kube/text.ts';
import type { CompiledPolicy, Policy } from '../policy/model/policy.ts';
import type { AuditLog } from './log.ts';

/** Lines about the control itself: by which policy and certificate it works, and what does not reach it. */
export interface AuditNotes {
  /** After each load of the policy file; `error` where it was refused. What changed nothing is not written. */
  policy(inForce: CompiledPolicy, error: string): void;
  /** After each load of the certificate files. */
  certificate(inUse: { readonly fingerprint: string; readonly expiresAt: number }, error: string): void;
  /** After each comparison with the webhook configurations; the same as before is not written. */
  configuration(gaps: readonly { readonly where: string; readonly message: string }[]): void;
}

const maxErrorLines = 20;
const maxErrorLength = 400;
const maxGaps = 100;

/** @param print the whole of a policy as text. */
export function createAuditNotes(
  log: AuditLog,
  { now, print }: { readonly now: () => number; readonly print: (policy: Policy) => string },
): AuditNotes {
  const printed = new Set<string>();
  let lastPolicy = '';
  let lastGaps = '';
  const time = (): string => new Date(now()).toISOString();
  return {
    policy({ digest, policy }, error) {
      const state = error === '' ? digest : `refused: ${error}`;
      if (state === lastPolicy) return;
      lastPolicy = state;
      const base = { kind: 'PolicyRecord' as const, time: time(), digest, preset: policy.preset };
      if (error !== '') {
        log.note({ ...base, outcome: 'refused', error: bounded(error) });
        return;
      }
      log.note({ ...base, outcome: 'loaded', ...(!printed.has(digest) && { policyText: print(policy) }) });
      printed.add(digest);
    },
    certificate({ fingerprint, expiresAt }, error) {
      const base = { kind: 'CertificateRecord' as const, time: time(), fingerprint };
      const notAfter = new Date(expiresAt * 1000).toISOString();
      log.note(
        error === ''
          ? { ...base, notAfter, outcome: 'loaded' }
          : { ...base, notAfter, outcome: 'refused', error: bounded(error) },
      );
    },
    configuration(gaps) {
      const shown = gaps
        .slice(0, maxGaps)
        .map(({ where, message }) => ({ where: clip(where, 512), message: clip(message, 2_048) }));
      if (gaps.length > maxGaps) shown.push({ where: '', message: `and ${gaps.length - maxGaps} more` });
      const state = JSON.stringify(shown);
      if (state === lastGaps) return;
      lastGaps = state;
      log.note({ kind: 'ConfigurationRecord', time: time(), gaps: shown });
    },
  };
}

/** A message of several lines, as one that is no longer than a reader wants. */
function bounded(error: string): string {
  const lines = error.split('\n');
  const shown = lines.slice(0, maxErrorLines).map((line) => clip(line, maxErrorLength));
  return lines.length > maxErrorLines
    ? `${shown.join('\n')}\n(and ${lines.length - maxErrorLines} more)`
    : shown.join('\n');
}
