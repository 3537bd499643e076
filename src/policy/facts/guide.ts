import type { NodeType } from '../model/policy.ts';
import type { Reason } from './reasons.ts';

/** What a node is to the guide: its type, or the row of control planes. Undefined = untyped. */
export type Kind = NodeType | 'control-plane' | undefined;

/** A row of the on-prem backend guide that a reason goes back to. */
export interface GuideRow {
  /** `section: row`, by the guide's own names. */
  readonly row: string;
  /** Kinds of node that the row is about; left out: every kind that no row above it names. */
  readonly of?: readonly Exclude<Kind, undefined>[];
  /** Where the row does not simply ask for it: `optional` in the guide, or what the check was `derived` from. */
  readonly as?: 'optional' | 'derived';
}

const compute = 'Compute Nodes (User Workflows)';
const operator = 'Backend-Operator Nodes';
const cluster = 'Kubernetes Cluster';

/** The guide has figures for these two kinds alone: "CPU Workloads: Size according to workload requirements". */
const sized = (row: string): readonly GuideRow[] => [
  { row: `${operator}: ${row}`, of: ['operator', 'shared'] },
  { row: `${cluster}: ${row}`, of: ['control-plane'] },
];

/** Every reason of node-conformance with the rows of the guide that ask for it: the one place that names them. */
export const guideRows: Readonly<Record<Reason, readonly GuideRow[]>> = {
  'kubernetes-version': [{ row: `${cluster}: Kubernetes Version` }],
  architecture: [
    { row: `${operator}: Architecture`, of: ['operator', 'shared'] },
    { row: `${compute}: GPU Workloads`, of: ['gpu', 'jetson'] },
    { row: `${cluster}: Architecture` },
  ],
  'container-runtime': [
    { row: `${compute}: Container Runtime`, of: ['compute', 'gpu', 'jetson'] },
    { row: 'Container Runtime: Runtime' },
  ],
  'os-image': [
    { row: `${compute}: Operating System (GPU nodes)`, of: ['gpu', 'jetson'] },
    { row: `${cluster}: Operating System` },
  ],
  cpu: sized('CPU'),
  memory: sized('Memory'),
  disk: sized('Disk'),
  'node-type': [{ row: `${compute}: Node Labels` }],
  // The guide asks for the label that is appropriate; it says nothing of kernels.
  'type-facts': [{ row: `${compute}: Node Labels`, as: 'derived' }],
  address: [{ row: 'Networking: Cluster Networking' }],
  'dns-name': [{ row: 'Networking: Cluster Networking' }],
  driver: [{ row: `${compute}: NVIDIA Driver`, of: ['gpu'] }],
  cuda: [{ row: `${compute}: CUDA`, of: ['gpu', 'jetson'] }],
  jetpack: [{ row: `${compute}: Operating System (GPU nodes)`, of: ['jetson'] }],
  'operator-untainted': [{ row: `${operator}: Taints`, as: 'optional' }],
};

/** The row that asks a kind of node for a reason, with a word where it does not simply ask; empty where the policy alone asks. */
export function guideOf(reason: Reason, kind: Kind): string {
  const found = guideRows[reason].find(({ of }) => of === undefined || (kind !== undefined && of.includes(kind)));
  return found === undefined ? '' : worded(found);
}

/** All rows of a reason and the kinds they are about, for docs. */
export function guideText(reason: Reason): string {
  const rows = guideRows[reason];
  const texts = rows.map((entry) =>
    entry.of === undefined ? worded(entry) : `${worded(entry)}, for ${entry.of.join(', ')}`,
  );
  const complete = rows.some(({ of }) => of === undefined);
  return `${texts.join('; ')}${complete ? '' : '; for other nodes the guide has no row, and it is asked only where the policy says so'}.`;
}

function worded({ row, as }: GuideRow): string {
  if (as === 'optional') return `${row}, optional`;
  return as === 'derived' ? `derived from ${row}` : row;
}
