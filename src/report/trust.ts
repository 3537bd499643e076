import { coverageOf, whyNothing } from '../audit/read/agreement.ts';
import { placeText } from '../audit/read/entry.ts';
import type { Listed } from '../audit/read/mismatch.ts';
import type { CheckedAgainst, CheckedChain, ReportData } from './data.ts';
import { type Html, html } from './html.ts';
import { anything, toRecords } from './links.ts';
import { details, limited, table } from './tables.ts';
import { type Verdict, verdictLine } from './verdict.ts';
import { cellText } from './visible.ts';
import { count, isoText, plural, sentence, shortDigest } from './words.ts';

/* Can the log be trusted: what the chain and the API server's own log bear out, and what neither can show. */

export function trustAnswer(data: ReportData): Html {
  return html`${verdictLine(trustVerdict(data))}
<div class="pair">
<section><h4>The chain of hashes and signatures</h4>
<p>${chainResult(data)}</p>
<p><strong>Shows</strong> any line that was changed, removed, inserted or reordered, up to the last signature.</p>
<p><strong>Cannot show</strong> lines cut off the end${unsignedText(data.chains)}, or before the first file; a log that never was.</p>
</section>
<section><h4>The API server’s own audit log</h4>
<p>${comparedResult(data.reconciliation)}</p>
<p><strong>Shows</strong> records that are missing, made up or changed, and requests that went past the webhook.</p>
<p><strong>Cannot show</strong> ${comparedLimit(data.reconciliation)}.</p>
</section>
</div>`;
}

export function trustDetails(data: ReportData): Html {
  return html`${chainsTable(data)}${notes(data)}<h4 id="compared" tabindex="-1">Held against the API server’s log</h4>${comparedDetails(data.reconciliation)}`;
}

export function broken(chains: readonly CheckedChain[]): readonly CheckedChain[] {
  return chains.filter(({ found }) => found !== undefined);
}

function mismatches({ missing, unknown, differs, twice }: CheckedAgainst): number {
  return [missing, unknown, differs, twice].reduce((sum, list) => sum + list.count, 0);
}

function trustVerdict({ chains, trusted, reconciliation, badLines, undated }: ReportData): Verdict {
  if (chains.length === 0) return { level: 'bad', text: 'No: there is no line of an audit log' };
  const bad = broken(chains).length;
  if (bad > 0)
    return { level: 'bad', text: `No: the chain of ${bad} of ${plural(chains.length, 'replica')} is broken` };
  const differing = reconciliation === undefined ? 0 : mismatches(reconciliation);
  if (differing > 0) {
    return { level: 'bad', text: `No: ${plural(differing, 'record')} not as the API server’s log has it` };
  }
  const but = [
    ...(badLines > 0 ? [`${plural(badLines, 'line')} could not be read`] : []),
    ...(undated > 0 ? [`${plural(undated, 'line')} without a time that can be read`] : []),
    ...(chains.every(({ signed }) => signed === undefined)
      ? ['nothing is signed']
      : trusted
        ? []
        : ['no key was given, so who wrote it is not proven']),
    ...comparedButNot(reconciliation),
  ];
  if (but.length > 0) return { level: 'attention', text: 'No break, but not all is proven', more: sentence(but) };
  const unsigned = unsignedLines(chains);
  const signer = `signed by a trusted key${unsigned === 0 ? '' : ` but for ${plural(unsigned, 'line')}`}`;
  return { level: 'good', text: 'Yes', more: `No break, ${signer}, and as the API server’s log has it.` };
}

/** What the API server's log says nothing of: a log of another time, or of another cluster, bears nothing out. */
export function uncompared({ known, outside }: CheckedAgainst): readonly string[] {
  if (known === 0) return ['the API server’s log knows none of its decisions'];
  return outside.decisions === 0
    ? []
    : [`${plural(outside.decisions, 'decision')} outside the time of the API server’s log`];
}

/** What a comparison that found nothing leaves open. */
function comparedButNot(found: CheckedAgainst | undefined): readonly string[] {
  if (found === undefined) return ['it was not held against the API server’s log'];
  if (coverageOf(found) === 'nothing') return [`nothing was compared with the API server’s log: ${whyNothing(found)}`];
  const parts = uncompared(found);
  return parts.length === 0 && coverageOf(found) === 'part'
    ? ['only a part was compared with the API server’s log']
    : parts;
}

function chainResult({ chains, trusted }: ReportData): Html {
  const bad = broken(chains);
  const lines = chains.reduce((sum, chain) => sum + chain.lines, 0);
  if (bad.length > 0)
    return html`<a href="#trust">First break: ${bad[0]?.found?.kind}, ${placeOf(bad[0])}</a>. Nothing after a break was checked.`;
  const signer = trusted ? 'a trusted key' : 'each run’s own key';
  const signed = chains.some((chain) => chain.signed !== undefined) ? `, signed by ${signer}` : ', nothing signed';
  return html`<a href="#trust">${plural(lines, 'line')} in ${plural(chains.length, 'chain')}</a>: no break${signed}.`;
}

function placeOf(chain: CheckedChain | undefined): string {
  return chain?.found === undefined ? '' : placeText(chain.found.place);
}

function unsignedText(chains: readonly CheckedChain[]): string {
  const unsigned = unsignedLines(chains);
  return unsigned === 0 ? '' : ` (${plural(unsigned, 'line')} not signed yet)`;
}

function unsignedLines(chains: readonly CheckedChain[]): number {
  return chains.reduce((sum, chain) => sum + chain.unsigned, 0);
}

function comparedResult(found: CheckedAgainst | undefined): Html {
  if (found === undefined) return html`Not compared: give it with <code class="stamp">--api-audit</code>.`;
  if (coverageOf(found) === 'nothing') return html`<a href="#compared">Nothing was compared</a>: ${whyNothing(found)}.`;
  const bad = mismatches(found);
  return html`<a href="#compared">${plural(found.known, 'call')} known to both</a>, ${bad === 0 ? 'none that differs' : plural(bad, 'mismatch', 'mismatches')}.`;
}

function comparedLimit(found: CheckedAgainst | undefined): string {
  if (found === undefined) return 'what its audit policy leaves out';
  const parts = [
    ...(found.unclear.count > 0
      ? [`whether ${plural(found.unclear.count, 'request')} were in scope, at the level they were logged`]
      : []),
    ...(found.scope ? [] : ['what should have been asked: the log holds no policy']),
    ...(found.scope && found.unscoped > 0
      ? [`whether ${plural(found.unscoped, 'request')} were in scope, of a time of which the log holds no policy`]
      : []),
    ...(found.uncovered.events > 0
      ? [`${plural(found.uncovered.events, 'call')} from before the log begins, which have records elsewhere`]
      : []),
  ];
  return parts.length > 0 ? parts.join('; ') : 'what its audit policy leaves out';
}

function chainsTable({ chains, trusted }: ReportData): Html {
  const rows = chains.map((chain) => [
    toRecords({ kind: anything, replica: chain.replica }, chain.replica || '(no name)'),
    count(chain.lines),
    count(chain.boots.length),
    chain.found === undefined
      ? 'none'
      : html`<strong class="bad">${chain.found.kind}</strong> at ${placeText(chain.found.place)}: ${chain.found.message}`,
    signedText(chain),
    beginning(chain),
  ]);
  const columns = [
    ...[{ name: 'Replica' }, { name: 'Lines', figure: true }, { name: 'Runs', figure: true }],
    ...[{ name: 'First break' }, { name: 'Signed' }, { name: 'Begins' }],
  ];
  return html`${table('The chain of each replica', columns, rows)}<p class="muted">${trusted ? 'Only the keys that were given may sign.' : 'No key was given: each run’s own key was taken, which proves that nothing was changed since, and not who wrote it.'}</p>`;
}

function signedText({ signed, unsigned, checkpoints, unchecked }: CheckedChain): string {
  if (checkpoints === 0) return 'nothing';
  if (unchecked > 0) return `${plural(unchecked, 'checkpoint')} not checked: the key is not there`;
  if (signed === undefined) return 'no line';
  return `to ${isoText(signed.time)}, key ${shortDigest(signed.keyId)}; ${unsigned === 0 ? 'to the end' : `${plural(unsigned, 'line')} after it not yet`}`;
}

function beginning({ boots: [first] }: CheckedChain): string {
  if (first === undefined) return '';
  if (first.begins === 'in the middle')
    return `in the middle: lines before ${count(first.firstSequence)} of that run are not there`;
  return first.goesOn ? 'with a run that goes on from lines that are not there' : 'at its beginning';
}

function notes({ chains, badLines, undated }: ReportData): Html {
  const lost = chains.flatMap((chain) => chain.lost);
  const { shown, rest } = limited(lost, 50);
  const items = [
    ...(badLines > 0
      ? [html`<li>${plural(badLines, 'line')} of the files could not be read as lines of an audit log.</li>`]
      : []),
    ...(undated > 0
      ? [
          html`<li>${plural(undated, 'line')} without a time that can be read: the figures count them, the plots do not.</li>`,
        ]
      : []),
    ...shown.map(
      (entry) =>
        html`<li>${plural(entry.lost, 'line')} lost from ${isoText(entry.from)} to ${isoText(entry.to)}, as ${placeText(entry.place)} declares: ${entry.why}</li>`,
    ),
  ];
  return html`${items.length === 0 ? undefined : html`<ul>${items}</ul>`}${rest}`;
}

const checks = [
  ['missing', 'Missing', 'the API server knows of an answer whose record is not there'],
  ['unknown', 'Unknown', 'a record of an answer that the API server does not know'],
  ['differs', 'Differs', 'both know the call, by another hash: the record was changed'],
  ['unanswered', 'Unanswered', 'a record of a call that got no answer: passed over, or the request refused for it'],
  ['twice', 'Twice', 'a record that stands in the log more than once'],
  ['failedOpen', 'Failed open', 'the API server went on without the webhook'],
  ['unseen', 'Unseen', 'a request in scope of the policy went through, and the webhook was not asked'],
  ['unclear', 'Unclear', 'what the API server’s log does not show enough of to say whether it was in scope'],
  ['again', 'Again', 'further calls of one request, of which the API server keeps the first one’s hash'],
] as const;

function comparedDetails(found: CheckedAgainst | undefined): Html {
  if (found === undefined) {
    return html`<p>The API server’s audit log was not given. <code class="stamp">--api-audit FILE</code> holds the log against it: the host that the webhook runs on cannot rewrite that one.</p>`;
  }
  const rows = checks.map(([key, name, means]) => [
    name,
    found[key].count === 0 ? '0' : html`<strong>${count(found[key].count)}</strong>`,
    means,
  ]);
  const columns = [{ name: 'Check' }, { name: 'Found', figure: true }, { name: 'What it means' }];
  const levels = Object.entries(found.levels).map(([level, number]) => `${count(number)} at level ${level}`);
  return html`<p>${isoText(found.from)} to ${isoText(found.to)}: ${plural(found.decisions, 'decision')} of ours, ${plural(found.events, 'event')} of the API server${levels.length === 0 ? '' : ` (${levels.join(', ')})`}, ${plural(found.known, 'call')} known to both. Not compared, outside that time: ${plural(found.outside.decisions, 'decision')}, ${plural(found.outside.events, 'event')}.</p>
${table('What the two logs bear out of each other', columns, rows)}${checks.map(([key, name]) => listOf(name, found[key]))}`;
}

function listOf(name: string, list: Listed): Html | undefined {
  if (list.count === 0) return undefined;
  const { shown } = limited(list.first);
  const rows = shown.map(({ time, user, verb, resource, namespace, name: object, auditId, place, detail }) => [
    isoText(time),
    cellText(user),
    cellText(`${verb} ${resource}`),
    [namespace, object]
      .filter((part) => part !== '')
      .map(cellText)
      .join('/') || '(no name)',
    place === undefined
      ? ''
      : toRecords({ kind: anything, file: place.file, line: String(place.line) }, placeText(place)),
    cellText(auditId),
    detail.length === 64 ? html`<code>${shortDigest(detail)}</code>` : cellText(detail),
  ]);
  const columns = ['Time', 'User', 'Request', 'Object', 'Record', 'Audit ID', 'Hash or webhook'].map((title) => ({
    name: title,
  }));
  const rest = list.count - shown.length;
  return details(
    `${name}: ${count(list.count)}`,
    table(name, columns, rows),
    rest > 0
      ? html`<p class="muted">And ${count(rest)} more: <code>log reconcile</code> lists a thousand of each.</p>`
      : undefined,
  );
}
