import { label } from '../kube/labels.ts';
import { parseQuantity } from '../kube/quantity.ts';
import { clip } from '../kube/text.ts';
import type { Node } from '../model/node.ts';
import type { Fact, FactInput, Judge, Verdict } from './fact.ts';
import { guideOf, type Kind } from './guide.ts';
import type { ConformanceSettings, Minimum } from './settings.ts';

type Resource = 'cpu' | 'memory' | 'disk';

/** Where `status.capacity` keeps each resource. */
const capacityKey: Readonly<Record<Resource, string>> = { cpu: 'cpu', memory: 'memory', disk: 'ephemeral-storage' };

/** What a machine must have more of. Kubelets count the file system that holds their own directory as ephemeral storage. */
const inWords: Readonly<Record<Resource, string>> = {
  cpu: 'CPU cores',
  memory: 'of memory',
  disk: 'on the file system of the kubelet',
};

/**
 * The guide's figures per kind of node: 4 cores, 8 GB and 50 GB for backend-operator nodes, 12 cores, 24 GB and 200 GB for the
 * control plane. "GB" is read as decimal; capacity stays below nominal (kernel reserve, formatting), hence the shortfall.
 * A control-plane node that also has a type must meet both rows.
 */
export const capacity: Judge = (input) => {
  const facts: Fact[] = [];
  for (const resource of ['cpu', 'memory', 'disk'] as const) {
    const wanted = leastOf(input, resource);
    if (wanted !== undefined) facts.push(judge(input, resource, wanted));
  }
  return facts;
};

interface Least {
  readonly text: string;
  readonly row: Exclude<Kind, undefined>;
  readonly value: bigint;
}

/** The greatest of the minimums that apply. */
function leastOf({ type, controlPlane, settings }: FactInput, resource: Resource): Least | undefined {
  const rows: [Least['row'], Minimum | undefined][] = [];
  if (type !== undefined)
    rows.push([type, settings.minimums[type] ?? (type === 'shared' ? settings.minimums.operator : undefined)]);
  if (controlPlane) rows.push(['control-plane', settings.minimums.controlPlane]);
  let least: Least | undefined;
  for (const [row, minimum] of rows) {
    const text = minimum?.[resource];
    const value = text === undefined ? undefined : parseQuantity(text);
    if (text === undefined || value === undefined) continue;
    if (least === undefined || value > least.value) least = { text, row, value };
  }
  return least;
}

function judge({ node, settings }: FactInput, resource: Resource, least: Least): Fact {
  const key = capacityKey[resource];
  const text = label(node.capacity, key);
  const has = text === undefined ? undefined : parseQuantity(text);
  const shortfall = resource === 'cpu' ? 0n : percentOf(settings.shortfall[resource]);
  const verdict: Verdict =
    has === undefined
      ? 'unknown'
      : has * 100n * percentScale >= least.value * (100n * percentScale - shortfall)
        ? 'meets'
        : 'violates';
  const tolerance = shortfall === 0n ? '' : ` (less ${settings.shortfall[resource === 'cpu' ? 'memory' : resource]})`;
  const setting = least.row === 'control-plane' ? 'controlPlane' : least.row;
  return {
    reason: resource,
    verdict,
    has: clip(text ?? '', 40),
    needs: `${least.text}${tolerance} for ${least.row === 'operator' ? 'an' : 'a'} ${least.row} node`,
    guide: guideOf(resource, least.row),
    field: `status.capacity[${key}]`,
    fix: `use a machine with at least ${least.text} ${inWords[resource]}, or set minimums.${setting}.${resource} in the policy file`,
  };
}

/** A resource that a node has less of than before. */
export interface Shrinkage {
  /** Key of `status.capacity`. */
  readonly resource: string;
  readonly had: string;
  readonly has: string;
}

/**
 * What has shrunk between two states of one node; memory and disk by more than the shortfall that is allowed for (a new kernel reserves a
 * little more). Not extended resources, which have a domain in their name: device plugins come and go.
 */
export function shrinkage(node: Node, before: Node, { shortfall }: ConformanceSettings): readonly Shrinkage[] {
  const allowed: Readonly<Record<string, string>> = { memory: shortfall.memory, [capacityKey.disk]: shortfall.disk };
  return Object.entries(before.capacity).flatMap(([resource, had]): readonly Shrinkage[] => {
    if (resource.includes('/')) return [];
    const has = label(node.capacity, resource) ?? '0';
    const [less, more] = [parseQuantity(has), parseQuantity(had)];
    if (less === undefined || more === undefined) return [];
    const whole = 100n * percentScale;
    const least = more * (whole - percentOf(label(allowed, resource) ?? '0%'));
    return less * whole < least ? [{ resource, had, has }] : [];
  });
}

/** Percentages are kept exactly, in thousandths. */
const percentScale = 1000n;

/** `5%` or `2.5%` in thousandths of a percent. The schema has checked the form. */
function percentOf(text: string): bigint {
  const [whole = '0', part = ''] = text.replace('%', '').split('.');
  return BigInt(whole) * percentScale + BigInt(part.padEnd(3, '0').slice(0, 3));
}
