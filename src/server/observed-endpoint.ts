import type { Log } from '../config/watch-files.ts';
import type { ReviewHandler } from '../policy/model/handler.ts';
import { createAdmissionEndpoint, type RequestListener } from './admission-endpoint.ts';
import type { Callers } from './caller.ts';
import type { Metrics } from './metrics.ts';

/**
 * The admission endpoint, with what goes wrong in it counted and logged.
 * @param monotonic a clock in milliseconds, for deadlines. @param callers left out: no client certificate is asked for.
 */
export function observedEndpoint(
  handler: ReviewHandler,
  metrics: Pick<Metrics, 'clientError' | 'failed'>,
  log: Log,
  monotonic: () => number,
  callers?: Callers,
): RequestListener {
  return createAdmissionEndpoint({
    handler,
    onClientError: (kind) => {
      metrics.clientError(kind);
      if (kind === 'too-large') log('error', 'a review was not read: it is too large, and failurePolicy decides');
    },
    onFault: (error) => {
      metrics.failed('internal');
      log('error', 'internal error', { error: error instanceof Error ? error.stack : String(error) });
    },
    now: monotonic,
    ...(callers !== undefined && { callers }),
  });
}
