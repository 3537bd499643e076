import type { Verdict } from '../policy/facts/fact.ts';
import { reasons as allReasons } from '../policy/facts/reasons.ts';
import { clip } from '../policy/kube/text.ts';
import type { Enforcement } from '../policy/model/finding.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import {
  isNonConforming,
  lacksExclusion,
  type NodeStanding,
  nodeStanding,
  type StandingCluster,
} from '../policy/standing.ts';
import { rowOrNone } from './render.ts';

export interface ClusterReview {
  readonly nodes: readonly NodeStanding[];
  /** Workflow pods that leave operator nodes open. */
  readonly pods: readonly OpenPod[] | undefined;
  readonly unread: readonly string[];
}

export interface OpenPod {
  readonly namespace: string;
  readonly name: string;
  readonly phase: string;
  /** Empty for one that waits. */
  readonly node: string;
}

/** Holds every node and workflow pod of a cluster against the policy, in the order of their names. */
export function reviewCluster(
  { nodes, pods, unread }: StandingCluster,
  policy: CompiledPolicy,
  nowMs: number,
): ClusterReview {
  const standings = nodes.map((node) => nodeStanding(node, policy, nowMs)).sort((a, b) => (a.node < b.node ? -1 : 1));
  const open = pods
    ?.filter(({ pod }) => lacksExclusion(pod, policy, nowMs))
    .map(({ pod, phase }) => ({
      namespace: pod.namespace,
      name: pod.name,
      phase,
      node: pod.placement.nodeName ?? '',
    }))
    .sort((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1));
  return { nodes: standings, pods: open, unread };
}

/** For people: every requirement that is not met, then the guide's matrix, then pods. */
export function renderClusterReview(review: ClusterReview): string {
  const parts = [findingsTable(review.nodes), matrix(review.nodes), podsTable(review.pods)];
  if (review.unread.length > 0)
    parts.push(['Could not be read:', ...review.unread.map((line) => `  ${line}`)].join('\n'));
  parts.push(summary(review));
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

/** For programs. */
export function clusterReviewObject({ nodes, pods, unread }: ClusterReview): object {
  return {
    apiVersion: 'osmo-admission/v1alpha1',
    kind: 'ClusterReview',
    nodes: nodes.map((standing) => ({
      node: standing.node,
      type: standing.type,
      ...(standing.quarantine !== '' && { quarantine: standing.quarantine }),
      ...(standing.exempt !== '' && { exempt: standing.exempt }),
      nonConforming: isNonConforming(standing),
      requirements: standing.facts.map(({ reason, verdict, enforcement, has, needs, guide, field, fix }) => ({
        ...{ requirement: reason, verdict, enforcement, has, needs, guide, field },
        ...(verdict !== 'meets' && { fix }),
      })),
    })),
    ...(pods !== undefined && { podsWithoutExclusion: pods }),
    unread,
  };
}

/** One line for each requirement that a node does not meet, or that nobody can tell. */
function findingsTable(nodes: readonly NodeStanding[]): string {
  const rows = nodes.flatMap(({ node, type, exempt, facts }) =>
    facts
      .filter(({ verdict }) => verdict !== 'meets')
      .map(({ reason, verdict, enforcement, has, needs, guide, fix }) => [
        clip(node, 63),
        type,
        reason,
        has === '' ? '(not shown)' : has,
        needs,
        rowOrNone(guide),
        verdictText(verdict, enforcement, exempt),
        fix,
      ]),
  );
  if (rows.length === 0) return '';
  return table([['NODE', 'TYPE', 'REQUIREMENT', 'HAS', 'NEEDS', 'ROW OF THE GUIDE', 'VERDICT', 'WHAT TO DO'], ...rows]);
}

/** By the time that it is about: a node that is there is not refused. */
function verdictText(verdict: Verdict, enforcement: Enforcement, exempt: string): string {
  if (verdict === 'unknown') return 'unknown';
  if (exempt !== '') return 'violates (exempt)';
  if (enforcement === 'enforce') return 'violates (a new one is refused)';
  return enforcement === 'quarantine' ? 'violates (a new one is marked)' : `violates (${enforcement})`;
}

const signs = { meets: '+', violates: 'X', unknown: '?' } as const;

/** The guide's rows by node. A column is a reason, whose row may differ by the type of the node: the legend names those of the nodes shown. */
function matrix(nodes: readonly NodeStanding[]): string {
  const facts = nodes.flatMap((standing) => standing.facts);
  const shown = new Set(facts.map(({ reason }) => reason));
  const reasons = allReasons.filter((reason) => shown.has(reason));
  if (reasons.length === 0) return '';
  const legend = reasons.map((reason, index) => {
    const rows = new Set(facts.filter((fact) => fact.reason === reason).map(({ guide }) => rowOrNone(guide)));
    return [String(index + 1), reason, [...rows].sort().join('; ')];
  });
  const rows = nodes.map(({ node, quarantine, facts: own }) => [
    clip(node, 63),
    quarantine,
    ...reasons.map((reason) => {
      const fact = own.find((candidate) => candidate.reason === reason);
      return fact === undefined ? '' : signs[fact.verdict];
    }),
  ]);
  const head = ['NODE', 'QUARANTINE', ...reasons.map((_, index) => String(index + 1))];
  return `${table([head, ...rows])}\n+ meets, X violates, ? unknown, blank: does not apply\n\n${table([['COLUMN', 'REQUIREMENT', 'ROW OF THE GUIDE'], ...legend])}`;
}

function podsTable(pods: readonly OpenPod[] | undefined): string {
  if (pods === undefined || pods.length === 0) return '';
  const rows = pods.map(({ namespace, name, phase, node }) => [
    clip(namespace, 63),
    clip(name, 63),
    phase,
    node === '' ? '(none yet)' : clip(node, 63),
  ]);
  return `Workflow pods that leave operator nodes open, made before the webhook or past it:\n${table([['NAMESPACE', 'POD', 'PHASE', 'NODE'], ...rows])}`;
}

function summary({ nodes, pods, unread }: ClusterReview): string {
  const bad = nodes.filter(isNonConforming).length;
  const judged = `${nodes.length} ${nodes.length === 1 ? 'node' : 'nodes'}, ${bad} of them not conforming`;
  const open =
    pods === undefined
      ? 'pods were not looked at (give --kubeconfig)'
      : `${pods.length} workflow ${pods.length === 1 ? 'pod' : 'pods'} without the exclusion`;
  return `${judged}; ${open}${unread.length > 0 ? `; ${unread.length} ${unread.length === 1 ? 'object' : 'objects'} could not be read` : ''}`;
}

/** Columns as wide as their widest cell, two spaces apart. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
