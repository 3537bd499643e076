import type { Requirement } from './kube/node-selector.ts';
import type { Edit, PatchOperation } from './model/edit.ts';
import { field, isObject } from './model/read.ts';

/**
 * Turns edits into JSON Patch operations that are valid on that very object: missing parents are made, arrays are appended to and
 * never replaced, keys are escaped (RFC 6901). Nothing is cloned and nothing compared.
 *
 * A parent that is `null` counts as missing: `add` on an object's member replaces it (RFC 6902, 4.1).
 * @param object the raw object of the review; its shape has been checked where edits touch it.
 */
export function toJsonPatch(object: unknown, edits: readonly Edit[]): readonly PatchOperation[] {
  if (edits.length === 0) return [];
  const operations: PatchOperation[] = [];
  editMetadata(operations, object, edits);
  if (edits.every(({ edit }) => metadataEdits.has(edit))) return operations;
  const spec = at(object, 'spec');
  if (spec === undefined) operations.push({ op: 'add', path: '/spec', value: {} });
  addMapEntries(operations, '/spec/nodeSelector', at(spec, 'nodeSelector'), pairsOf(edits, 'setNodeSelector'));
  appendAll(
    operations,
    '/spec/tolerations',
    at(spec, 'tolerations'),
    edits.flatMap((edit) => (edit.edit === 'addToleration' ? [edit.toleration] : [])),
  );
  appendAll(
    operations,
    '/spec/taints',
    at(spec, 'taints'),
    edits.flatMap((edit) => (edit.edit === 'addTaint' ? [edit.taint] : [])),
  );
  addTermExpressions(operations, spec, edits);
  return operations;
}

const metadataEdits: ReadonlySet<Edit['edit']> = new Set([
  'setLabel',
  'setAnnotation',
  'removeLabel',
  'removeAnnotation',
]);

/** `add` of a member needs its parent, and `remove` needs the member: else the request fails, whoever's it is. */
function editMetadata(operations: PatchOperation[], object: unknown, edits: readonly Edit[]): void {
  const metadata = at(object, 'metadata');
  for (const [map, set, remove] of [
    ['labels', 'setLabel', 'removeLabel'],
    ['annotations', 'setAnnotation', 'removeAnnotation'],
  ] as const) {
    const existing = at(metadata, map);
    addMapEntries(operations, `/metadata/${map}`, existing, pairsOf(edits, set));
    for (const edit of edits) {
      if (edit.edit === remove && at(existing, edit.key) !== undefined) {
        operations.push({ op: 'remove', path: `/metadata/${map}/${escapeSegment(edit.key)}` });
      }
    }
  }
}

/** One path segment, escaped: RFC 6901, 3. */
export function escapeSegment(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** A member of an object; null and everything that is no object read as missing. */
function at(value: unknown, key: string): unknown {
  return isObject(value) ? (field(value, key) ?? undefined) : undefined;
}

/** Entries that edits of one kind set. */
function pairsOf(
  edits: readonly Edit[],
  kind: 'setNodeSelector' | 'setLabel' | 'setAnnotation',
): readonly (readonly [string, string])[] {
  return edits.flatMap((edit) => (edit.edit === kind ? [[edit.key, edit.value] as const] : []));
}

function addMapEntries(
  operations: PatchOperation[],
  path: string,
  existing: unknown,
  entries: readonly (readonly [string, string])[],
): void {
  if (entries.length === 0) return;
  if (existing === undefined) {
    operations.push({ op: 'add', path, value: Object.fromEntries(entries) });
    return;
  }
  for (const [key, value] of entries) operations.push({ op: 'add', path: `${path}/${escapeSegment(key)}`, value });
}

function appendAll(operations: PatchOperation[], path: string, existing: unknown, values: readonly unknown[]): void {
  if (values.length === 0) return;
  if (existing === undefined) {
    operations.push({ op: 'add', path, value: values });
    return;
  }
  for (const value of values) operations.push({ op: 'add', path: `${path}/-`, value });
}

const required = 'requiredDuringSchedulingIgnoredDuringExecution';

function addTermExpressions(operations: PatchOperation[], spec: unknown, edits: readonly Edit[]): void {
  const fresh: Requirement[] = [];
  const byTerm = new Map<number, Requirement[]>();
  for (const edit of edits) {
    if (edit.edit !== 'addTermExpression') continue;
    if (edit.term === 'new') fresh.push(edit.expression);
    else byTerm.set(edit.term, [...(byTerm.get(edit.term) ?? []), edit.expression]);
  }
  const affinity = at(spec, 'affinity');
  const nodeAffinity = at(affinity, 'nodeAffinity');
  if (fresh.length > 0) {
    const terms = { nodeSelectorTerms: [{ matchExpressions: fresh }] };
    if (affinity === undefined) {
      operations.push({ op: 'add', path: '/spec/affinity', value: { nodeAffinity: { [required]: terms } } });
    } else if (nodeAffinity === undefined) {
      operations.push({ op: 'add', path: '/spec/affinity/nodeAffinity', value: { [required]: terms } });
    } else {
      operations.push({ op: 'add', path: `/spec/affinity/nodeAffinity/${required}`, value: terms });
    }
  }
  const terms = at(at(nodeAffinity, required), 'nodeSelectorTerms');
  for (const [index, expressions] of byTerm) {
    const existing = Array.isArray(terms) ? at(terms[index], 'matchExpressions') : undefined;
    const path = `/spec/affinity/nodeAffinity/${required}/nodeSelectorTerms/${index}/matchExpressions`;
    appendAll(operations, path, existing, expressions);
  }
}
