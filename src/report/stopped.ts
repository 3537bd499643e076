import type { Summary } from '../audit/read/summary.ts';
import type { ReportData } from './data.ts';
import { type Html, html, stamp } from './html.ts';
import { toRecords } from './links.ts';
import { stackedBars } from './plots.ts';
import { details, limited, table } from './tables.ts';
import { verdictLine } from './verdict.ts';
import { cellText } from './visible.ts';
import { count, durationText, exactText, plural, timeText } from './words.ts';

/* What was stopped: denials over time, by rule and by reason. */

const colours = 6;

export function stoppedAnswer(data: ReportData): Html {
  const denied = deniedOf(data);
  const judged = tallied(data, (decision) => decision.startsWith('validate '));
  const share = judged === 0 ? '' : ` (${percent(denied / judged)})`;
  const text =
    denied === 0
      ? `Nothing: none of ${plural(judged, 'decision')} was a denial`
      : `${count(denied)} of ${plural(judged, 'decision')} denied${share}`;
  return html`${verdictLine({ level: 'plain', text })}
${denied === 0 ? undefined : plot(data)}`;
}

export function deniedOf(data: ReportData): number {
  return tallied(data, (decision) => decision === 'validate deny');
}

/** Validation alone denies, and each request is validated once. */
function tallied({ summary }: ReportData, isMeant: (decision: string) => boolean): number {
  return summary.decisions.reduce((sum, { value, count: number }) => (isMeant(value) ? sum + number : sum), 0);
}

function percent(share: number): string {
  const value = share * 100;
  return value > 0 && value < 0.1 ? 'less than 0.1%' : `${value.toFixed(1)}%`;
}

/** More rules than the product has are counted together: a forged log may name any number. */
const maxRules = 12;

/** The rules that denied most, which the plot and its table name. */
export function rulesOfPlot({ denials }: Summary): readonly string[] {
  return denials.byRule.slice(0, maxRules).map(({ value }) => value);
}

interface CountsOfRule {
  readonly name: string;
  readonly values: readonly number[];
}

function countsByRule({ denials, summary }: ReportData): readonly CountsOfRule[] {
  const named = rulesOfPlot(summary).map((name) => ({ name, values: denials.byRule.get(name) ?? [] }));
  const more = summary.denials.byRule.length - named.length;
  return more > 0 ? [...named, { name: `${count(more)} other rules`, values: denials.others }] : named;
}

function plot(data: ReportData): Html {
  const { denials, summary } = data;
  const series = countsByRule(data).map((rule, index) => ({ ...rule, colour: colourOf(index) }));
  const legend = summary.denials.byRule.slice(0, maxRules).map(({ value, count: number }, index) => {
    const swatch = html`<svg class="swatch" width="10" height="10" aria-hidden="true"><rect class="${colourOf(index)}" width="10" height="10"/></svg>`;
    return html`<li>${swatch} ${toRecords({ decision: 'deny', rule: value, enforcement: 'enforce' }, value)} <span class="number">${count(number)}</span></li>`;
  });
  const bars = stackedBars({ fromMs: denials.fromMs, stepMs: denials.stepMs, series, filter: bucketFilter });
  return html`<figure>${bars}<figcaption><p class="muted">Denials in every ${durationText(denials.stepMs)}, by rule: findings that denied (UTC). <a href="#stopped">As a table</a>.</p><ul class="legend">${legend}</ul></figcaption></figure>`;
}

function colourOf(index: number): string {
  return `c${(index % colours) + 1}`;
}

function bucketFilter(fromMs: number, toMs: number): Readonly<Record<string, string>> {
  return { decision: 'deny', since: exactText(fromMs), until: exactText(toMs) };
}

export function stoppedDetails(data: ReportData): Html {
  const { denials, summary } = data;
  const rules = countsByRule(data);
  const buckets = denials.totals.flatMap((total, at) => {
    if (total === 0) return [];
    const fromMs = denials.fromMs + at * denials.stepMs;
    return [
      [
        stamp(beginningOf(fromMs, denials.stepMs)),
        toRecords(bucketFilter(fromMs, fromMs + denials.stepMs), count(total)),
        ...rules.map(({ values }) => cellOf(values[at] ?? 0)),
      ],
    ];
  });
  const columns = [
    { name: `From (each ${durationText(denials.stepMs)})` },
    { name: 'Denied', figure: true },
    ...rules.map(({ name }) => ({ name: cellText(name), figure: true })),
  ];
  const reasons = limited(summary.denials.byReason);
  const reasonRows = reasons.shown.map(({ value, count: number }) => [
    toRecords(reasonFilter(value), value),
    count(number),
  ]);
  const others = limited(summary.otherFindings);
  const otherRows = others.shown.map(({ value, count: number }) => {
    const [, id = '', enforcement = ''] = /^(.*) \((.*)\)$/s.exec(value) ?? [];
    const { rule = '', reason = '' } = reasonFilter(id);
    return [toRecords({ rule, reason, enforcement }, value), count(number)];
  });
  const pair = (name: string) => [{ name }, { name: 'How many', figure: true }];
  return html`${buckets.length === 0 ? html`<p>No denial.</p>` : table('Denials over time, by rule', columns, buckets)}
${reasonRows.length === 0 ? undefined : table('Denials by reason', pair('Reason'), reasonRows)}${reasons.rest}
${otherRows.length === 0 ? html`<p>No finding that denied nothing.</p>` : details(`Findings that denied nothing: ${plural(others.shown.length, 'kind')}`, table('Findings that denied nothing', pair('Rule, reason and enforcement'), otherRows), others.rest)}`;
}

/** As exact as the buckets are. */
function beginningOf(ms: number, stepMs: number): string {
  if (stepMs < 1_000) return `${timeText(ms)}.${String(ms % 1_000).padStart(3, '0')}`;
  return stepMs % 86_400_000 === 0 ? timeText(ms).slice(0, 10) : timeText(ms);
}

/** Nothing stands back, so that something is seen. */
function cellOf(value: number): Html | string {
  return value === 0 ? html`<span class="muted">0</span>` : count(value);
}

/** The records of `rule/reason` that were denied for it. */
export function reasonFilter(id: string): Readonly<Record<string, string>> {
  const at = id.indexOf('/');
  return { decision: 'deny', rule: id.slice(0, Math.max(at, 0)), reason: id.slice(at + 1), enforcement: 'enforce' };
}
