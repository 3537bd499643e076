import type { Tally } from '../audit/read/summary.ts';
import { endOfDay } from '../policy/exemptions.ts';
import type { Exemption } from '../policy/model/policy.ts';
import type { ReportData } from './data.ts';
import { type Html, html, type Part } from './html.ts';
import { anything, type Filter, toRecords } from './links.ts';
import { shareBar } from './plots.ts';
import { deniedOf, reasonFilter } from './stopped.ts';
import { limited, table } from './tables.ts';
import { type Verdict, verdictLine } from './verdict.ts';
import { cellText } from './visible.ts';
import { count, plural } from './words.ts';

/* Who and what stands out: by whom, where, on which nodes and why, and which exemptions count and end. */

/** Rows of a list on the first screen. */
const most = 3;

export function notableAnswer(data: ReportData): Html {
  const { denials } = data.summary;
  return html`${verdictLine(notableVerdict(data))}
<div class="lists">
${ranking('Users, by denials', denials.byUser, (user) => ({ decision: 'deny', user }), '#standing-out')}
${ranking('Namespaces, by denials', denials.byNamespace, namespaceFilter, '#standing-out')}
${ranking('Reasons of denials', denials.byReason, reasonFilter, '#stopped')}
${ranking('Nodes, by findings', nodeTally(data), nodeFilter, '#nodes')}
</div>
${exemptionLine(data)}`;
}

function notableVerdict(data: ReportData): Verdict {
  const denied = deniedOf(data);
  const [user] = data.summary.denials.byUser;
  const ending = endingSoon(data);
  if (ending.length > 0) {
    return {
      level: 'attention',
      text: `${plural(ending.length, 'exemption')} ended or will within ${noticeDays} days`,
    };
  }
  if (user === undefined || denied === 0) return { level: 'plain', text: 'Nobody was denied anything' };
  const share = Math.round((user.count / denied) * 100);
  return {
    level: 'plain',
    text: `${plural(data.summary.denials.byUser.length, 'user')} denied`,
    more: `One has ${share}% of the denials.`,
  };
}

function ranking(title: string, tally: Tally, filter: (value: string) => Filter, more: string): Html {
  const highest = tally[0]?.count ?? 0;
  const items = tally
    .slice(0, most)
    .map(
      ({ value, count: number }) =>
        html`<li><span class="name">${toRecords(filter(value), nameText(value))}</span><span class="number">${count(number)}</span>${shareBar(number, highest)}</li>`,
    );
  const rest = tally.length - items.length;
  const list = items.length === 0 ? html`<p class="muted">None.</p>` : html`<ol class="ranking">${items}</ol>`;
  const link = rest > 0 ? html`<a class="rest" href="${more}">${count(rest)} more</a>` : undefined;
  return html`<section><div class="title"><h4>${title}</h4>${link}</div>${list}</section>`;
}

/** A name whose end is seen, too, where there is no room for all of it: names of service accounts begin alike. */
function nameText(name: string): Html {
  const text = cellText(name === '' ? '(none)' : name);
  const at = text.length > 2 * tail ? text.length - tail : text.length;
  return html`<span class="start">${text.slice(0, at)}</span><span class="end">${text.slice(at)}</span>`;
}

const tail = 16;

/** A reason among other words: whole in its table. */
function shortText(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`;
}

function namespaceFilter(value: string): Filter {
  return { decision: 'deny', namespace: value === '(cluster)' ? '' : value };
}

function nodeFilter(name: string): Filter {
  return { resource: { like: 'nodes*' }, name, phase: 'validate', dryrun: 'no', rule: anything };
}

function nodeTally({ nodes }: ReportData): Tally {
  return nodes.logged
    .filter(({ found }) => found > 0)
    .map(({ node, found }) => ({ value: node, count: found }))
    .sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1));
}

const dayMs = 86_400_000;

/** How long before an exemption ends it is said, as `policy check` does. */
const noticeDays = 14;

/** Whole days to the end of an exemption; negative once it has ended, undefined without an end. */
function daysLeft({ until }: Exemption, nowMs: number): number | undefined {
  return until === undefined ? undefined : Math.ceil((endOfDay(until) - nowMs) / dayMs);
}

function endingSoon({ policy, nowMs }: ReportData): readonly Exemption[] {
  return (policy?.exemptions ?? []).filter(
    (exemption) => (daysLeft(exemption, nowMs) ?? Number.POSITIVE_INFINITY) <= noticeDays,
  );
}

function exemptionLine(data: ReportData): Html {
  const used = data.summary.exemptions;
  const times = used.reduce((sum, { count: number }) => sum + number, 0);
  const listed =
    used.length === 0
      ? html`No exemption was used.`
      : html`${toRecords({ exemption: anything }, plural(times, 'use'))} of ${plural(used.length, 'exemption')}, most by “${shortText(used[0]?.value ?? '')}”.`;
  return html`<p class="exemptions"><strong>Exemptions.</strong> ${listed} <a href="#standing-out">${data.policy === undefined ? 'When they end is not known.' : endingText(endingSoon(data).length)}</a></p>`;
}

function endingText(ending: number): string {
  return ending === 0
    ? `None ends within ${noticeDays} days.`
    : `${count(ending)} ended or will within ${noticeDays} days.`;
}

export function notableDetails(data: ReportData): Html {
  const { denials } = data.summary;
  return html`<div class="tables">${tallyTable('Denials by user', 'User', denials.byUser, (user) => ({ decision: 'deny', user }))}
${tallyTable('Denials by namespace', 'Namespace', denials.byNamespace, namespaceFilter)}
${tallyTable('Decisions about nodes with findings', 'Node', nodeTally(data), nodeFilter)}</div>
${exemptionsTable(data)}`;
}

function tallyTable(caption: string, name: string, tally: Tally, filter: (value: string) => Filter): Html {
  const { shown, rest } = limited(tally, 50);
  if (shown.length === 0) return html`<div><p>${caption}: none.</p></div>`;
  const rows = shown.map(({ value, count: number }) => [
    toRecords(filter(value), value === '' ? '(none)' : value),
    count(number),
  ]);
  return html`<div>${table(caption, [{ name }, { name: 'How many', figure: true }], rows)}${rest}</div>`;
}

/** Those that were used, and those of the last policy that were not. */
function exemptionsTable({ summary, policy, nowMs }: ReportData): Html {
  const known = new Map((policy?.exemptions ?? []).map((exemption) => [exemption.reason, exemption]));
  const used = new Map(summary.exemptions.map(({ value, count: number }) => [value, number]));
  const reasons = [...new Set([...used.keys(), ...known.keys()])];
  const { shown, rest } = limited(reasons);
  if (shown.length === 0) return html`<p>No exemption was used, and the last policy has none.</p>`;
  const rows = shown.map((reason): readonly Part[] => {
    const exemption = known.get(reason);
    const times = used.get(reason) ?? 0;
    const name = reason || '(none)';
    return [
      times === 0 ? cellText(name) : toRecords({ exemption: reason }, name),
      count(times),
      endText(exemption, policy !== undefined, nowMs),
    ];
  });
  return html`${table('Exemptions and their use', [{ name: 'Reason' }, { name: 'Used', figure: true }, { name: 'Ends' }], rows)}${rest}`;
}

function endText(exemption: Exemption | undefined, isPolicyKnown: boolean, nowMs: number): Part {
  if (exemption === undefined) return isPolicyKnown ? 'not in the last policy' : 'not known';
  const days = daysLeft(exemption, nowMs);
  if (days === undefined) return 'never';
  if (days <= 0) return html`<strong class="bad">ended on ${exemption.until}</strong>`;
  const text = `${exemption.until}, ${plural(days, 'day')} from the making of this page`;
  return days <= noticeDays ? html`<strong class="attention">${text}</strong>` : text;
}
