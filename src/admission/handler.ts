import type { Answer, ReviewHandler } from '../policy/model/handler.ts';
import type { AdmissionObserver } from '../policy/model/observer.ts';
import { ShapeError } from '../policy/model/read.ts';
import type { AuditSink } from '../policy/model/record.ts';
import { baseOf, type Phase } from '../policy/model/request.ts';
import type { BoundRule } from '../policy/rule.ts';
import type { Admission, Admit } from './admit.ts';
import { reviewAnswer, statusAnswer } from './response.ts';
import { parseReview } from './review.ts';

export interface HandlerOptions {
  readonly admit: Admit;
  readonly rules: readonly BoundRule[];
  readonly audit: AuditSink;
  readonly observer: AdmissionObserver;
  /** A monotonic clock in milliseconds. */
  readonly monotonic: () => number;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

/** Bytes of a review in, answer out. Every failure has an answer: 400 for what cannot be judged, 500 for our own faults. */
export function createReviewHandler(options: HandlerOptions): ReviewHandler {
  const { admit, audit, observer, monotonic, log } = options;
  // A subresource of a resource that rules cover is answered, judged or not.
  const resources = new Set(
    options.rules.flatMap(({ on }) => on.map(({ group, resource }) => `${group}/${baseOf(resource)}`)),
  );

  const settle = ({ response, record }: Admission, deadlineMs: number): Answer | Promise<Answer> => {
    const { hash, until } = audit.write(record, deadlineMs);
    observer.decided(record);
    if (record.decision === 'error') {
      observer.failed('undecided');
      log('error', 'request could not be judged', { uid: record.requestUID, error: record.error });
      return statusAnswer(500, record.error ?? 'could not be judged');
    }
    if (until === undefined) return reviewAnswer(response, hash);
    return until.then((why) => {
      if (why === undefined) return reviewAnswer(response, hash);
      // Each is counted; the log says once that records are being lost.
      observer.failed('unrecorded');
      return statusAnswer(500, `the audit record could not be written: ${why}`);
    });
  };
  const fault = (phase: Phase, uid: string | undefined, error: unknown): Answer => {
    observer.failed('internal');
    log('error', 'internal error', {
      phase,
      uid,
      error: error instanceof Error ? error.stack : String(error),
    });
    return statusAnswer(500, `internal error while judging request ${uid ?? '(unread)'}; see the webhook's log`);
  };

  return (phase, body, deadlineMs, callerVerified) => {
    let uid: string | undefined;
    try {
      const request = parseReview(body);
      uid = request.uid;
      const { group, resource } = request.resource;
      if (!resources.has(`${group}/${resource}`)) {
        throw new ShapeError(
          'request.resource',
          `no rule covers ${group === '' ? '' : `${group}/`}${resource.slice(0, 64)}: remove it from the webhook configuration`,
        );
      }
      const startedMs = monotonic();
      const admission = admit(phase, request, deadlineMs, callerVerified);
      if (!(admission instanceof Promise)) return settle(admission, deadlineMs);
      return admission
        .then((later) => settle(later, deadlineMs - (monotonic() - startedMs)))
        .catch((error: unknown) => fault(phase, uid, error));
    } catch (error) {
      if (error instanceof ShapeError) {
        observer.failed('malformed');
        log('warn', 'review refused', { phase, error: error.message });
        return statusAnswer(400, error.message);
      }
      return fault(phase, uid, error);
    }
  };
}
