import type { Reconciliation } from './reconcile.ts';

/** What a comparison comes to. What was not compared is no agreement. */
export type Agreement = 'agree' | 'agree as far as compared' | 'nothing compared' | 'differ';

export function agreementOf(found: Reconciliation): Agreement {
  if (mismatchesIn(found) > 0) return 'differ';
  const covered = coverageOf(found);
  if (covered === 'nothing') return 'nothing compared';
  return covered === 'all' ? 'agree' : 'agree as far as compared';
}

/** All that the two logs do not bear out of each other. */
export function mismatchesIn({ missing, unknown, differs, twice, failedOpen, unseen }: Reconciliation): number {
  return [missing, unknown, differs, twice, failedOpen, unseen].reduce((sum, { count }) => sum + count, 0);
}

/**
 * How much of what was asked for was compared. The API server's log is copied first, so that some of our decisions always come after it; its
 * events go back to before the webhook was there. But a call of the webhook that is named there, and before our log begins, has a record in
 * a file that was not given.
 */
export function coverageOf({ unscoped, uncovered, decisions, judged }: Reconciliation): 'nothing' | 'part' | 'all' {
  if (decisions + judged === 0) return 'nothing';
  return unscoped === 0 && uncovered.events === 0 && uncovered.decisions <= decisions ? 'all' : 'part';
}

/** Why nothing was compared. */
export function whyNothing({ events, outside, lines }: Reconciliation): string {
  if (lines === 0) return 'the log holds no line';
  if (events + outside.events === 0) return 'the API server’s log holds no event of an answer';
  if (events > 0) return 'the log holds no decision, and no policy that says which requests are ours';
  return 'no time is in both logs';
}
