import { fields } from './client/query.ts';
import type { ReportData } from './data.ts';
import { type Html, html } from './html.ts';
import type { Kept } from './sample.ts';
import { count, plural } from './words.ts';

const headings = [
  ['time', 'Time (UTC)'],
  ['decision', 'Decision'],
  ['user', 'User'],
  ['request', 'Request'],
  ['object', 'Object'],
  ['finding', 'Findings, exemptions'],
] as const;

/** The table of records, which the page's script fills. */
export function decisionsView(data: ReportData): Html {
  return html`<p>${sampledText(data)}</p>
<noscript><p>The table needs the page’s own script, which this browser did not run. All else on the page is there without it.</p></noscript>
<div class="live">
<form class="filter" role="search" action="#decisions">
<label for="filter">Filter</label>
<input id="filter" type="search" autocomplete="off" spellcheck="false" aria-describedby="filter-help">
<button type="button" id="clear">Clear</button>
</form>
<p id="filter-help" class="muted">Words, or <code>field:value</code> with <code>*</code> for anything, as <code>decision:deny user:*worker</code>; <code>-</code> before it means not.</p>
<details><summary>Fields</summary><p>${fields.map((field, index) => html`${index === 0 ? '' : ', '}<code>${field}</code>`)}. Times as <code>since:2026-11-25T12:00Z</code>. Decisions alone are shown unless a <code>kind</code> is asked for; <code>kind:*</code> shows every line. Rule, reason and enforcement are those of one finding. A value in quotes is taken as it is. The address keeps filter and order: send it with the page.</p></details>
<p id="status" role="status">Reading the records…</p>
<div class="scroll" id="records-region" tabindex="0" role="region" aria-label="Records" aria-busy="true">
<table id="records"><caption class="unseen">Records. A row’s time opens the whole record.</caption>
<thead><tr>${headings.map(([key, name]) => html`<th scope="col" data-sort="${key}"><button type="button">${name}</button></th>`)}</tr></thead>
<tbody id="rows"></tbody></table></div>
<nav id="pages" aria-label="Pages of records"></nav>
</div>`;
}

/** What of the log is here, and how the rest was left out. */
export function sampledText({ sampling, records, span }: ReportData): Html {
  const { notable, others, limit } = sampling;
  const without =
    records.withoutText === 0
      ? undefined
      : html` Of ${plural(records.withoutText, 'record')} only what the table shows is here: they are too long, or the page was full. Each names its file and line.`;
  if (notable.kept === notable.all && others.kept === others.all) {
    const part = Number.isFinite(span.fromMs) || Number.isFinite(span.toMs) ? 'this part of the log' : 'the log';
    return html`All ${plural(records.count, 'record')} of ${part} are here.${without}`;
  }
  return html`<strong>Sampled.</strong> The log has ${count(notable.all + others.all)} records, the page ${count(records.count)} (at most ${count(limit)}). Denials, errors, uses of exemptions, and lines that are no decision come first: ${keptText(notable)}. Of other decisions and checkpoints: ${keptText(others)}. What was left out was left out evenly, in the order of the log: the same files give the same sample. Figures and plots of the overview count all records.${without}`;
}

function keptText({ all, kept }: Kept): string {
  return kept === all ? `all ${count(all)}` : `${count(kept)} of ${count(all)}`;
}
