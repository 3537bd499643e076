import { type Agreement, mismatchesIn, whyNothing } from '../../audit/read/agreement.ts';
import { placeText } from '../../audit/read/entry.ts';
import type { Listed, Mismatch } from '../../audit/read/mismatch.ts';
import type { Reconciliation } from '../../audit/read/reconcile.ts';
import { clip } from '../../policy/kube/text.ts';
import { count, plural } from './output.ts';

export interface ReconciliationReport extends Reconciliation {
  /** Whether a policy told which requests are ours. */
  readonly scope: boolean;
  /** Events that were given more than once. */
  readonly repeated: number;
  readonly verdict: Agreement;
}

/** For people. */
export function renderReconciliation(report: ReconciliationReport): string {
  const { from, to, events, decisions, known, outside } = report;
  const named = [
    listText('missing: the API server knows of an answer whose record is not there', report.missing),
    listText('unknown: a record of an answer that the API server does not know', report.unknown),
    listText('differs: both know the call, by another hash: the record was changed', report.differs),
    listText('twice: a record that stands in the log more than once', report.twice),
    listText('failed open: the API server went on without the webhook', report.failedOpen),
    listText('unseen: a request in scope went through, and the webhook was not asked', report.unseen),
    // No mismatch: the API server says so, too.
    listText(
      'unanswered: a record of a call whose answer did not arrive, as the API server says itself',
      report.unanswered,
    ),
  ].filter((text) => text !== '');
  const outsideText =
    outside.decisions + outside.events === 0
      ? ''
      : `\nnot compared: ${plural(outside.decisions, 'decision')} and ${plural(outside.events, 'event')} outside that time`;
  const time = from === '' || to === '' || from > to ? 'no time in common' : `${from} to ${to}`;
  const head = `${time}: ${plural(decisions, 'decision')} of ours, ${plural(events, 'event')} of the API server, ${plural(known, 'call')} known to both${outsideText}`;
  return `${[head, ...named, limits(report).join('\n'), verdict(report)].filter((text) => text !== '').join('\n\n')}\n`;
}

/** What the answer does not cover. */
function limits(report: ReconciliationReport): readonly string[] {
  const { scope, unscoped, repeated, lost, again, errors, levels, unclear } = report;
  const lines: string[] = [];
  if (!scope) {
    lines.push(
      'the log holds no policy, so nobody can say what should have been asked: give --config, or the files from the start of the boot',
    );
  } else if (unscoped > 0) {
    lines.push(
      `${plural(unscoped, 'request')} from a time of which the log holds no policy: nobody can say whether the webhook should have been asked; give --config, or the files from the start of the boot`,
    );
  }
  if (repeated > 0) lines.push(`${plural(repeated, 'event')} that were given more than once: each was taken once`);
  if (lost > 0)
    lines.push(`${plural(lost, 'call')} without a record, from times in which the log declares that it lost some`);
  if (again.count > 0) {
    lines.push(
      `${plural(again.count, 'record')} of further calls of a request (a reinvocation, a retry after a conflict): the API server keeps the first one's annotation`,
    );
  }
  if (errors > 0)
    lines.push(
      `${plural(errors, 'record')} of calls answered with HTTP 500, of which the API server keeps no annotation`,
    );
  if (unclear.count > 0) {
    const seen = Object.entries(levels).map(([level, number]) => `${count(number)} at level ${clip(level, 32)}`);
    lines.push(
      `${plural(unclear.count, 'request')} that may have been ours cannot be judged by what the events show (${seen.join(', ')}): at Metadata these are all updates, and creations that labels put in scope; at Request, updates that set what is judged, to the same value or another`,
    );
  }
  return lines;
}

function verdict(report: ReconciliationReport): string {
  const { verdict: agreement, decisions, events } = report;
  const rest = leftOut(report);
  if (agreement === 'differ')
    return `the logs do not agree: ${plural(mismatchesIn(report), 'mismatch', 'mismatches')}${rest.length === 0 ? '' : `; not compared were ${rest.join(' and ')}`}`;
  if (agreement === 'nothing compared') return `nothing was compared: ${whyNothing(report)}`;
  if (agreement === 'agree') return 'the logs agree';
  const compared = `${plural(decisions, 'decision')} and ${plural(events, 'event')} were`;
  return `the logs agree as far as they were compared, which is not all: ${compared}; not ${rest.join(', nor ')}`;
}

/** What an agreement does not cover. */
function leftOut({ uncovered, unscoped, decisions }: ReconciliationReport): readonly string[] {
  return [
    ...(unscoped === 0 ? [] : [`${plural(unscoped, 'request')} from a time of which no policy is known`]),
    ...(uncovered.events === 0
      ? []
      : [`${plural(uncovered.events, 'event')} before the log begins that name calls of the webhook`]),
    ...(uncovered.decisions <= decisions
      ? []
      : [`${plural(uncovered.decisions, 'decision')} outside the time of the API server’s log`]),
  ];
}

function listText(title: string, { count: all, first }: Listed): string {
  if (all === 0) return '';
  const more = all > first.length ? [`  and ${count(all - first.length)} more`] : [];
  return [`${title}: ${count(all)}`, ...first.map(mismatchText), ...more].join('\n');
}

function mismatchText({ time, user, verb, resource, namespace, name, auditId, place, detail }: Mismatch): string {
  const what = [namespace, name].filter((part) => part !== '').join('/') || '(no name)';
  const where = [
    ...(place === undefined ? [] : [placeText(place)]),
    ...(auditId === '' ? [] : [`audit ID ${auditId}`]),
    ...(detail === '' ? [] : [detail]),
  ];
  return `  ${clip(`${time} ${user} ${verb} ${resource} ${what} (${where.join(', ')})`, 1_000)}`;
}

/** For programs. */
export function reconciliationObject(report: ReconciliationReport): string {
  return `${JSON.stringify({ apiVersion: 'osmo-admission/v1alpha1', kind: 'LogReconciliation', ...report }, null, 2)}\n`;
}
