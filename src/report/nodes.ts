import { conformanceId } from '../policy/facts/conformance.ts';
import type { Verdict } from '../policy/facts/fact.ts';
import { guideText } from '../policy/facts/guide.ts';
import { reasons as allReasons, type Reason } from '../policy/facts/reasons.ts';
import { isNonConforming, type NodeStanding } from '../policy/standing.ts';
import type { LiveNodes, ReportData } from './data.ts';
import { type Html, html, type Part } from './html.ts';
import { toRecords } from './links.ts';
import type { LoggedNode } from './node-log.ts';
import { limited, table } from './tables.ts';
import { count, isoText, plural, timeText } from './words.ts';

/* The guide's matrix: of the cluster as it stands where one was given, of what the log holds of nodes otherwise. */

/** A cell of the matrix: a sign, and what it means to whoever hears it. */
interface Sign {
  readonly sign: string;
  readonly means: string;
  readonly look: string;
}

const signs: Readonly<Record<Verdict | 'found' | 'silent', Sign>> = {
  meets: { sign: '✓', means: 'meets', look: 'good' },
  violates: { sign: '✕', means: 'violates', look: 'bad' },
  unknown: { sign: '?', means: 'unknown', look: 'muted' },
  found: { sign: '✕', means: 'found', look: 'bad' },
  silent: { sign: '·', means: 'no finding', look: 'muted' },
};

/** More nodes are a page of their own to read: the command lists them all. */
const maxNodes = 1_000;

export function nodesView({ nodes: { live, logged }, nowMs }: ReportData): Html {
  return live === undefined ? loggedView(logged) : liveView(live, nowMs);
}

function liveView({ source, standings, unread }: LiveNodes, nowMs: number): Html {
  const { shown, rest } = limited(standings, maxNodes);
  const columns = allReasons.filter((reason) =>
    standings.some(({ facts }) => facts.some((fact) => fact.reason === reason)),
  );
  const rows = shown.map((standing) => ({
    head: standing.node,
    cells: [standing.type, standing.exempt === '' ? standing.quarantine : `exempt: ${standing.exempt}`],
    signs: columns.map((reason) => {
      const fact = standing.facts.find((candidate) => candidate.reason === reason);
      return fact === undefined ? undefined : signs[fact.verdict];
    }),
  }));
  const left =
    unread.length === 0
      ? undefined
      : html`<h3>Could not be read</h3><ul>${unread.slice(0, 50).map((line) => html`<li>${line}</li>`)}</ul>`;
  return html`<p>The live cluster, read from ${source} at ${timeText(nowMs)} UTC: ${plural(standings.length, 'node')}, ${conformityText(standings)}.</p>
${matrix('The guide, by node', ['Type', 'Mark'], columns, rows)}${rest}
<p class="muted">✓ meets, ✕ violates, ? the node does not show it, blank: does not apply.</p>
${requirementsTable(standings)}${legendTable(columns)}${left}`;
}

/** How the nodes stand. What one does not show, nobody knows; what is exempt or warned of is not met, either. */
function conformityText(standings: readonly NodeStanding[]): Html {
  const has = ({ facts }: NodeStanding, verdict: Verdict): boolean => facts.some((fact) => fact.verdict === verdict);
  const bad = standings.filter(isNonConforming).length;
  const borne = standings.filter((standing) => has(standing, 'violates') && !isNonConforming(standing)).length;
  const unshown = standings.filter((standing) => has(standing, 'unknown')).length;
  const parts = [
    ...(bad === 0 ? [] : [html`<strong>${count(bad)} not conforming</strong>`]),
    ...(borne === 0 ? [] : [html`${count(borne)} with what is exempt or warned of alone`]),
    ...(unshown === 0 ? [] : [html`${count(unshown)} without all that the guide asks them to show`]),
  ];
  return parts.length === 0
    ? html`all conforming`
    : html`${parts.map((part, index) => (index === 0 ? part : html`, ${part}`))}`;
}

function requirementsTable(standings: readonly NodeStanding[]): Html {
  const all = standings.flatMap(({ node, exempt, facts }) =>
    facts.filter(({ verdict }) => verdict !== 'meets').map((fact) => ({ node, exempt, fact })),
  );
  if (all.length === 0) return html`<p>Every requirement is met.</p>`;
  const order = { violates: 0, unknown: 1, meets: 2 } as const;
  const { shown, rest } = limited(
    all.toSorted((a, b) => order[a.fact.verdict] - order[b.fact.verdict]),
    500,
  );
  const rows = shown.map(({ node, exempt, fact }): readonly Part[] => [
    toRecords({ resource: { like: 'nodes*' }, name: node }, node),
    fact.reason,
    fact.has === '' ? '(not shown)' : fact.has,
    fact.needs,
    fact.verdict === 'unknown'
      ? 'unknown'
      : html`<strong class="bad">violates</strong> (${exempt === '' ? fact.enforcement : 'exempt'})`,
    fact.fix,
  ]);
  const columns = ['Node', 'Requirement', 'Has', 'Needs', 'Verdict', 'What to do'].map((name) => ({ name }));
  return html`${table('What is not met, or not shown', columns, rows)}${rest}`;
}

function loggedView(logged: readonly LoggedNode[]): Html {
  if (logged.length === 0) {
    return html`<p>The log holds no decision about a node, and no cluster was given: <code class="stamp">--kubeconfig FILE</code> or <code class="stamp">--nodes FILE</code> adds the guide’s matrix.</p>`;
  }
  const { shown, rest } = limited(logged, maxNodes);
  const columns = allReasons.filter((reason) =>
    logged.some(({ findings }) => findings.some((found) => found.reason === reason)),
  );
  const rows = shown.map((node) => ({
    head: node.node,
    cells: [isoText(node.time), `${node.verb}: ${node.decision}`, node.exempt === '' ? '' : `exempt: ${node.exempt}`],
    signs: columns.map((reason) =>
      node.findings.some((finding) => finding.reason === reason) ? signs.found : signs.silent,
    ),
  }));
  const findings = limited(
    logged.flatMap(({ node, findings: list }) => list.map((finding) => ({ node, ...finding }))),
    500,
  );
  const findingRows = findings.shown.map(({ node, reason, enforcement, message }): readonly Part[] => [
    toRecords({ resource: { like: 'nodes*' }, name: node, rule: conformanceId, reason }, node),
    reason,
    enforcement,
    message,
  ]);
  return html`<p>From the log: of each node the last decision that held it against the guide. No cluster was given. The log keeps findings alone, so a requirement without one is met, does not apply, or is not shown by the node; nodes that registered before the log begins are not here. <code class="stamp">--kubeconfig FILE</code> or <code class="stamp">--nodes FILE</code> gives the whole matrix.</p>
${matrix('The guide, by node, as the log last said', ['Last judged (UTC)', 'Decision', 'Exemption'], columns, rows)}${rest}
<p class="muted">✕ a finding, · none.</p>
${
  findingRows.length === 0
    ? html`<p>Nothing was found of any node.</p>`
    : table(
        'What was found',
        ['Node', 'Requirement', 'Enforcement', 'Message'].map((name) => ({ name })),
        findingRows,
      )
}${findings.rest}
${legendTable(columns)}`;
}

interface MatrixRow {
  readonly head: string;
  readonly cells: readonly string[];
  readonly signs: readonly (Sign | undefined)[];
}

function matrix(
  caption: string,
  names: readonly string[],
  columns: readonly Reason[],
  rows: readonly MatrixRow[],
): Html {
  const head = [
    html`<th scope="col">Node</th>`,
    ...names.map((name) => html`<th scope="col">${name}</th>`),
    ...columns.map((reason) => html`<th scope="col" class="upright"><span>${reason}</span></th>`),
  ];
  const body = rows.map(
    ({ head: node, cells, signs: list }) =>
      html`<tr><th scope="row">${toRecords({ resource: { like: 'nodes*' }, name: node }, node)}</th>${cells.map((cell) => html`<td>${cell}</td>`)}${list.map(signCell)}</tr>`,
  );
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table class="matrix"><caption>${caption}</caption><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>`;
}

function signCell(sign: Sign | undefined): Html {
  if (sign === undefined) return html`<td class="sign"><span class="unseen">does not apply</span></td>`;
  return html`<td class="sign ${sign.look}"><span aria-hidden="true">${sign.sign}</span><span class="unseen">${sign.means}</span></td>`;
}

function legendTable(columns: readonly Reason[]): Html | undefined {
  if (columns.length === 0) return undefined;
  const rows = columns.map((reason) => [reason, guideText(reason)]);
  return table('Requirements, by the guide’s own rows', [{ name: 'Requirement' }, { name: 'Row of the guide' }], rows);
}
