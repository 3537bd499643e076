import type { ReportData } from './data.ts';
import type { Gap, History, ServerRun } from './history.ts';
import { type Html, html, stamp } from './html.ts';
import { anything, type Filter, toRecords } from './links.ts';
import { type Lane, type LaneBar, lanes, type Span } from './plots.ts';
import { details, limited, table } from './tables.ts';
import { broken, uncompared } from './trust.ts';
import { type Figure, figures, type Verdict, verdictLine } from './verdict.ts';
import { count, durationText, exactText, isoText, plural, sentence, shortDigest, timeText } from './words.ts';

/* Was the control on: when servers ran, by which policy, and what went past them. */

/** The answer on the first screen. */
export function controlAnswer(data: ReportData): Html {
  return html`${verdictLine(controlVerdict(data))}
${figures(controlFigures(data))}
<figure>${lanes(spanOf(data), lanesOf(data))}<figcaption class="muted">${legend(data)}</figcaption></figure>`;
}

/** What stands behind it. */
export function controlDetails(data: ReportData): Html {
  return html`${serversTable(data.history)}${gapsTable(data.history.gaps)}${policiesTable(data)}${failedOpenTable(data)}${openTable(data)}`;
}

export function spanOf({ summary }: ReportData): Span {
  return { fromMs: Date.parse(summary.from), toMs: Date.parse(summary.to) };
}

function controlVerdict(data: ReportData): Verdict {
  const { summary, history, reconciliation, errors, policy } = data;
  const past = (reconciliation?.failedOpen.count ?? 0) + (reconciliation?.unseen.count ?? 0);
  if (past > 0) return { level: 'bad', text: `Not always: ${plural(past, 'request')} went past it` };
  const monitors = summary.policies.filter(({ preset }) => preset !== 'enforce').length;
  const last = history.changes.at(-1);
  if (last !== undefined && last.preset !== 'enforce') {
    return {
      level: 'bad',
      text: 'It denies nothing',
      more: `The policy in force has preset ${last.preset}: it only records.`,
    };
  }
  const parts = [
    ...(history.changes.length > 0 ? [] : ['the log does not say which policy was in force']),
    ...(history.gaps.length === 0 ? [] : [`${plural(history.gaps.length, 'time')} without a server in the log`]),
    ...(monitors === 0 ? [] : ['a policy that only records was in force for a time']),
    ...(policy === undefined || policy.lowered === 0
      ? []
      : [`${plural(policy.lowered, 'rule or reason', 'rules or reasons')} that the last policy made deny nothing`]),
    ...(errors === 0 ? [] : [`${plural(errors, 'call')} that could not be judged`]),
    ...(summary.lost === 0 ? [] : [`${plural(summary.lost, 'line')} lost`]),
    ...(summary.configurationGaps.length === 0 ? [] : ['requests that the API server did not send']),
  ];
  if (parts.length > 0) return { level: 'attention', text: 'On, with exceptions', more: sentence(parts) };
  const unknown = unknownOf(data);
  return unknown.length > 0
    ? { level: 'attention', text: 'On, as far as its own log tells', more: sentence(unknown) }
    : { level: 'good', text: 'On all the time' };
}

/** What nobody can say by these files, and might not be good. */
function unknownOf({ reconciliation, chains }: ReportData): readonly string[] {
  const altered = broken(chains).length > 0 ? ['which is not as it was written'] : [];
  if (reconciliation === undefined)
    return [...altered, 'whether requests went past it is in the API server’s log alone'];
  const { unclear, scope } = reconciliation;
  return [
    ...altered,
    ...uncompared(reconciliation),
    ...(scope ? [] : ['which requests should have come to it is not known: the log holds no policy']),
    ...(unclear.count === 0 ? [] : [`whether ${plural(unclear.count, 'request')} should have come to it is not known`]),
  ];
}

function controlFigures({ summary, history, reconciliation, errors }: ReportData): readonly Figure[] {
  const span = Date.parse(summary.to) - Date.parse(summary.from);
  const without = history.gaps.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
  return [
    { name: 'Period', value: Number.isNaN(span) ? 'none' : durationText(span) },
    {
      name: 'Without a server',
      value: without === 0 ? 'never' : html`<a href="#control">${durationText(without)}</a>`,
    },
    {
      name: 'Went past it',
      value:
        reconciliation === undefined
          ? 'not known'
          : html`<a href="#compared">${count(reconciliation.failedOpen.count + reconciliation.unseen.count)}</a>`,
    },
    { name: 'Not judged', value: linked(errors, { decision: 'error' }) },
    { name: 'Lines lost', value: linked(summary.lost, { kind: 'GapRecord' }) },
    { name: 'Policies', value: linked(summary.policies.length, { kind: 'PolicyRecord' }) },
  ];
}

/** A figure that leads to its records, if there are any. */
function linked(value: number, filter: Filter): Html | string {
  return value === 0 ? '0' : toRecords(filter, count(value));
}

/** `P1`, `P2` …: versions in the order in which they came into force first. */
function policyNames({ policies }: ReportData['summary']): ReadonlyMap<string, string> {
  return new Map(policies.map(({ digest }, index) => [digest, `P${index + 1}`]));
}

/** Colours go round. */
const colours = 6;

function lanesOf(data: ReportData): readonly Lane[] {
  const span = spanOf(data);
  return [
    { name: 'Servers that wrote at a time', bars: serverBars(data.history, span) },
    { name: 'Policy in force', bars: policyBars(data, span) },
    { name: 'Lost, refused, not sent, or past it', bars: markBars(data) },
  ];
}

function policyColour(index: number, preset: string): string {
  return `c${(index % colours) + 1}${preset === 'enforce' ? '' : ' monitor'}`;
}

/** More segments are finer than a pixel. */
const maxSegments = 600;

function serverBars({ runs, gaps }: History, span: Span): readonly LaneBar[] {
  const steps = countsOf(runs.slice(0, maxSegments));
  const running = steps.flatMap(({ ms, running: servers }, index): readonly LaneBar[] => {
    const toMs = steps[index + 1]?.ms ?? span.toMs;
    if (servers === 0 || toMs <= ms) return [];
    const filter = { kind: anything, since: exactText(ms), until: exactText(toMs + 1) };
    return [{ fromMs: ms, toMs, colour: servers === 1 ? 'run' : 'run more', label: String(servers), filter }];
  });
  return [...running, ...gaps.slice(0, maxSegments).map((gap) => ({ ...gap, colour: 'gap', mark: true }))];
}

/** How many servers ran from a time on. */
function countsOf(runs: readonly ServerRun[]): readonly { readonly ms: number; readonly running: number }[] {
  const changes = runs.flatMap(({ fromMs, toMs }) => [
    { ms: fromMs, by: 1 },
    { ms: toMs, by: -1 },
  ]);
  let running = 0;
  return changes
    .sort((a, b) => a.ms - b.ms || b.by - a.by)
    .map(({ ms, by }) => {
      running += by;
      return { ms, running };
    });
}

function policyBars({ history: { changes }, summary }: ReportData, span: Span): readonly LaneBar[] {
  const names = policyNames(summary);
  return changes.slice(0, maxSegments).map(({ ms, digest, preset }, index) => {
    const number = [...names.keys()].indexOf(digest);
    return {
      fromMs: ms,
      toMs: changes[index + 1]?.ms ?? span.toMs,
      colour: policyColour(number, preset),
      label: names.get(digest) ?? '',
      filter: { kind: anything, policy: digest },
    };
  });
}

function markBars({ history, reconciliation }: ReportData): readonly LaneBar[] {
  const kinds = { lost: 'GapRecord', refused: 'PolicyRecord', uncovered: 'ConfigurationRecord' } as const;
  const past = [...(reconciliation?.failedOpen.first ?? []), ...(reconciliation?.unseen.first ?? [])];
  return [
    ...history.marks.slice(0, maxSegments).map(({ ms, kind }) => ({
      ...{ fromMs: ms, toMs: ms, mark: true },
      colour: kind === 'lost' ? 'gap' : 'warn',
      filter: { kind: kinds[kind] },
    })),
    ...past.map(({ time }) => ({ fromMs: Date.parse(time), toMs: Date.parse(time), mark: true, colour: 'gap' })),
  ];
}

function legend(data: ReportData): Html {
  const names = policyNames(data.summary);
  const list = data.summary.policies.slice(0, 4).map(({ digest, preset, from }, index) => {
    const swatch = html`<svg class="swatch" width="10" height="10" aria-hidden="true"><rect class="${policyColour(index, preset)}" width="10" height="10"/></svg>`;
    return html`<li>${swatch} ${names.get(digest)} ${preset}, ${toRecords({ kind: anything, policy: digest }, html`<code>${shortDigest(digest)}</code>`)}, ${isoText(from).slice(0, 16)}</li>`;
  });
  const more = data.summary.policies.length - list.length;
  return html`<ul class="legend">${list}${more > 0 ? html`<li><a href="#control">and ${count(more)} more</a></li>` : undefined}</ul>`;
}

function serversTable({ runs }: History): Html {
  const { shown, rest } = limited(runs.toReversed());
  const rows = shown.map(({ replica, boot, fromMs, toMs, orderly }) => [
    toRecords({ kind: anything, replica }, replica || '(no name)'),
    html`<code>${shortDigest(boot)}</code>`,
    stamp(timeText(fromMs)),
    stamp(timeText(toMs)),
    orderly ? 'ended in order' : 'no orderly end: it runs, was killed, or its end was cut off',
  ]);
  const columns = [
    { name: 'Replica' },
    { name: 'Boot' },
    { name: 'First line' },
    { name: 'Last line' },
    { name: 'End' },
  ];
  return details(
    `Servers: ${plural(runs.length, 'run')}`,
    table('Runs of servers, the latest first', columns, rows),
    rest,
  );
}

function gapsTable(gaps: readonly Gap[]): Html {
  if (gaps.length === 0) return html`<p>No time without a server between the first and the last line.</p>`;
  const { shown, rest } = limited(gaps);
  const rows = shown.map(({ fromMs, toMs, orderly }) => [
    stamp(timeText(fromMs)),
    stamp(timeText(toMs)),
    durationText(toMs - fromMs),
    orderly
      ? 'no server ran: the last one had ended in order'
      : 'not known: the last one had not ended in order, and may have run on without a decision',
  ]);
  const columns = [{ name: 'From' }, { name: 'To' }, { name: 'How long', figure: true }, { name: 'What is known' }];
  return html`${table('Times without a server in the log', columns, rows)}${rest}`;
}

function policiesTable({ summary, history }: ReportData): Html {
  const names = policyNames(summary);
  const { shown, rest } = limited(history.changes);
  const rows = shown.map(({ ms, digest, preset }, index) => [
    names.get(digest) ?? '',
    toRecords({ kind: anything, policy: digest }, html`<code>${shortDigest(digest)}</code>`),
    preset === 'enforce' ? preset : `${preset}: records, and denies nothing`,
    stamp(timeText(ms)),
    history.changes[index + 1] === undefined
      ? 'the end'
      : stamp(timeText(history.changes[index + 1]?.ms ?? Number.NaN)),
  ]);
  const columns = [{ name: 'Name' }, { name: 'Digest' }, { name: 'Preset' }, { name: 'In force from' }, { name: 'To' }];
  const refused =
    summary.refusedPolicies === 0
      ? undefined
      : html`<p>${toRecords({ kind: 'PolicyRecord' }, plural(summary.refusedPolicies, 'policy file'))} refused: the policy before it stayed in force.</p>`;
  if (rows.length === 0) return html`<p>The log holds no policy.</p>${refused}`;
  return html`${table('Policies in force', columns, rows)}${rest}<p class="muted">As the first server loaded each: another may have had the one before for some seconds more.</p>${refused}`;
}

function failedOpenTable({ reconciliation }: ReportData): Html {
  return reconciliation === undefined
    ? html`<p>Whether the API server went on without the webhook is in its own audit log alone: give it with <code class="stamp">--api-audit</code>.</p>`
    : html`<p>What went past the webhook, by the API server’s own audit log: <a href="#compared">see the comparison</a>.</p>`;
}

function openTable({ summary, policy }: ReportData): Html {
  const sent = summary.configurationGaps.map(
    ({ value, count: times }) => html`<li>${value} (${plural(times, 'time')})</li>`,
  );
  const open = policy?.lacks.map((lack) => html`<li>${lack}</li>`) ?? [];
  return html`<h4>What the API server did not send</h4>
${sent.length === 0 ? html`<p>${summary.comparisons === 0 ? 'Not known: no server of the log compared what it is sent with what the policy covers.' : 'Nothing, as far as the log tells.'}</p>` : html`<ul>${sent.slice(0, 50)}</ul>`}
<h4>What the last policy leaves open</h4>
${policy === undefined ? html`<p>Not known: the log does not hold its text, or this version cannot read it.</p>` : open.length === 0 ? html`<p>Nothing that this version knows to look for.</p>` : html`<ul>${open}</ul>`}`;
}
