import type { Phase } from './request.ts';

/** The HTTP answer to a review: what the server writes back, whatever made it. */
export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/**
 * The seam between the server and everything below it: bytes of a review in, answer out. Never throws and never rejects.
 * Answers at once where no look-up is needed, so that the common path waits for nothing.
 * @param body the request body, whole.
 * @param deadlineMs how long look-ups may take, in milliseconds from now.
 * @param callerVerified for the record; left out, the caller is not.
 */
export type ReviewHandler = (
  phase: Phase,
  body: Uint8Array,
  deadlineMs: number,
  callerVerified?: boolean,
) => Answer | Promise<Answer>;
