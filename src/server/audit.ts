import type { AuditLog } from '../audit/log.ts';
import { type AuditSettings, type AuditWorld, openAuditLog } from '../audit/open.ts';
import type { Log } from '../config/watch-files.ts';
import type { Check } from './health.ts';
import type { Metrics } from './metrics.ts';

export interface ServerAudit {
  readonly log: AuditLog;
  /**
   * Ends it in order. A sink that stands still must not hold that up until somebody kills the process: it has this long, 3 seconds at least.
   */
  end(signal: string, withinMs: number): Promise<void>;
  /** For `/readyz`. Never unready for it: taking replicas out of the Service would record no more. */
  check(): Check;
}

export interface ServerAuditWorld extends Pick<AuditWorld, 'version' | 'callerVerification' | 'writeStdout' | 'now'> {
  readonly metrics: Metrics;
  readonly log: Log;
  /** Ends the process though a system call does not return. */
  readonly abandon: () => void;
}

/** After the defaults of delay and timeout, this ends within the grace period of the manifests. */
const leastEndMs = 3_000;

/** The audit log of a server, with what fails about it told by log, metrics and `/readyz`. @throws as `openAuditLog` does. */
export async function openServerAudit(
  settings: AuditSettings,
  { metrics, log, abandon, ...world }: ServerAuditWorld,
): Promise<ServerAudit> {
  let lost = 0;
  const faults = new Map<string, string>();
  const audit = await openAuditLog(settings, {
    ...world,
    onLost: (sink, lines, why) => {
      // One line for the first loss and one for each thousand after it: a full disk must not fill the log too.
      if (lost === 0 || Math.floor(lost / 1_000) !== Math.floor((lost + lines) / 1_000)) {
        log('error', 'audit records are being lost', { sink, lost: lost + lines, why });
      }
      lost += lines;
      metrics.auditLost(sink, lines);
    },
    onWorking: (sink, lines) => log('info', 'audit records are written again', { sink, lost: lines }),
    onFault: (operation, why) => {
      metrics.auditFault(operation);
      // A fault that stays is logged once.
      if (faults.get(operation) === why) return;
      faults.set(operation, why);
      log('error', 'the audit file is not in order', { operation, why });
    },
    onOpenKey: (file) =>
      log('warn', 'others may read the key that signs the audit log, and sign in its name: chmod 600', { file }),
    onTornTail: ({ bytes, keptAs }) =>
      log('warn', 'the audit file ended within a line; that piece is kept aside', { bytes, keptAs }),
  });
  return {
    log: audit,
    async end(signal, withinMs) {
      if (await audit.stop(signal, Math.max(leastEndMs, withinMs))) return;
      log('error', 'stopped without the end of the audit log: a sink did not take it', { signal, lost });
      abandon();
    },
    check: () => ({
      name: 'audit',
      state: lost === 0 ? 'ok' : 'note',
      detail: lost === 0 ? '' : `${lost} records lost since the start${audit.failing() ? ', and still failing' : ''}`,
    }),
  };
}
