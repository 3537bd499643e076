import type { SendOptions } from '../../../cluster/api-client.ts';
import type { Change, How, Labelled, PodWords } from './operations.ts';
import { exemptedKey } from './oracle.ts';

/* Operations as objects and requests. */

// biome-ignore lint/suspicious/noExplicitAny: objects of the API server, read by their documented shape.
type Raw = any;

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
}

export const podsOf = (namespace: string): string => `/api/v1/namespaces/${namespace}/pods`;

const workflowLabels = { 'osmo.workflow_uuid': 'a', 'osmo.task_uuid': 'b' };
const labelsOf: Readonly<Record<Labelled, Readonly<Record<string, string>>>> = {
  both: workflowLabels,
  one: { 'osmo.task_uuid': 'b' },
  none: {},
};

export function podOf(name: string, words: PodWords): Raw {
  const { namespace, labelled, platform, gpu, scheduler, gates, nodeSelector, terms, tolerations } = words;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      labels: { ...labelsOf[labelled], ...(platform !== undefined && { 'osmo.platform': platform }) },
      annotations: {
        ...(words.exempted !== undefined && { [exemptedKey]: words.exempted }),
        ...(words.mirror && { 'kubernetes.io/config.mirror': 'x' }),
      },
    },
    spec: {
      schedulerName: scheduler,
      restartPolicy: 'Never',
      containers: [{ name: 'c', image: 'x', resources: { limits: { cpu: '1m', 'nvidia.com/gpu': gpu ? '1' : '0' } } }],
      ...(words.nodeName !== undefined && { nodeName: words.nodeName }),
      ...(gates > 0 && {
        schedulingGates: Array.from({ length: gates }, (_, i) => ({ name: `example.com/wait-${i}` })),
      }),
      ...(nodeSelector !== undefined && { nodeSelector }),
      ...(terms !== undefined && { affinity: requiring(terms) }),
      ...(tolerations.length > 0 && { tolerations }),
    },
  };
}

const requiring = (nodeSelectorTerms: readonly object[]): object => ({
  nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } },
});

/** What a pod would be after a change. */
export function changed(pod: Raw, change: Change): Raw {
  const result = structuredClone(pod);
  const { metadata, spec } = result;
  if (change.labelled !== undefined) {
    metadata.labels = { ...metadata.labels };
    for (const key of Object.keys(workflowLabels)) delete metadata.labels[key];
    Object.assign(metadata.labels, labelsOf[change.labelled]);
  }
  if (change.note !== undefined) metadata.annotations = { ...metadata.annotations, 'example.com/note': change.note };
  if (change.exempted === null) delete metadata.annotations?.[exemptedKey];
  else if (change.exempted !== undefined) {
    metadata.annotations = { ...metadata.annotations, [exemptedKey]: change.exempted };
  }
  if (change.tolerate !== undefined) spec.tolerations = [...(spec.tolerations ?? []), change.tolerate];
  if (change.ungate !== undefined) {
    const left = change.ungate === 'one' ? (spec.schedulingGates ?? []).slice(1) : [];
    if (left.length > 0) spec.schedulingGates = left;
    else delete spec.schedulingGates;
  }
  if (change.select !== undefined) spec.nodeSelector = { ...spec.nodeSelector, [change.select[0]]: change.select[1] };
  if (change.require !== undefined) {
    const terms =
      spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? undefined;
    if (terms === undefined) spec.affinity = requiring([{ matchExpressions: [change.require] }]);
    else for (const term of terms) term.matchExpressions = [...(term.matchExpressions ?? []), change.require];
  }
  return result;
}

const maps = [
  ['metadata', 'labels'],
  ['metadata', 'annotations'],
  ['spec', 'nodeSelector'],
] as const;
const wholes = [
  ['spec', 'tolerations'],
  ['spec', 'schedulingGates'],
  ['spec', 'affinity'],
] as const;

/** The request that makes one of the other. Server-side apply takes nothing away that it does not own: then a JSON Patch does. */
export function updateRequest(old: Raw, pod: Raw, how: How): Request {
  const path = `${podsOf(old.metadata.namespace)}/${old.metadata.name}`;
  switch (how) {
    case 'put': {
      // Without it the write is unconditional, as a client's that read the pod a while ago and does not care.
      const { resourceVersion: _, managedFields: __, ...metadata } = pod.metadata;
      return { method: 'PUT', path, body: { ...pod, metadata } };
    }
    case 'merge':
      return { method: 'PATCH', path, body: mergePatch(old, pod), contentType: 'application/merge-patch+json' };
    case 'json':
      return { method: 'PATCH', path, body: jsonPatch(old, pod), contentType: 'application/json-patch+json' };
    case 'apply': {
      const patch = mergePatch(old, pod);
      if (JSON.stringify(patch).includes('null')) return updateRequest(old, pod, 'json');
      const { name } = old.metadata;
      // A manager of its own: what an older apply of the same one brought, and this one leaves out, would go.
      const manager = `change-${old.metadata.resourceVersion}`;
      return applyRequest({ ...patch, metadata: { ...patch.metadata, name } }, path, manager);
    }
  }
}

export function applyRequest(object: object, path: string, manager: string): Request {
  return {
    method: 'PATCH',
    path: `${path}?fieldManager=${manager}&force=true`,
    body: { apiVersion: 'v1', kind: 'Pod', ...object },
    contentType: 'application/apply-patch+yaml',
  };
}

function mergePatch(old: Raw, pod: Raw): Raw {
  const patch: Raw = { metadata: {}, spec: {} };
  for (const [part, key] of maps) {
    const [before, after] = [old[part][key] ?? {}, pod[part][key] ?? {}];
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    const entries = names.filter((name) => before[name] !== after[name]).map((name) => [name, after[name] ?? null]);
    if (entries.length > 0) patch[part][key] = Object.fromEntries(entries);
  }
  for (const [part, key] of wholes)
    if (!same(old[part][key], pod[part][key])) patch[part][key] = pod[part][key] ?? null;
  return patch;
}

function jsonPatch(old: Raw, pod: Raw): readonly object[] {
  return [...maps, ...wholes].flatMap(([part, key]) => {
    const [before, after] = [old[part][key], pod[part][key]];
    if (same(before, after)) return [];
    const path = `/${part}/${key}`;
    return [after === undefined ? { op: 'remove', path } : { op: 'add', path, value: after }];
  });
}

export const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** An object with the nodes' names of a run in place of `node:0`. */
export function withNames<T>(value: T, nameOfNode: (index: number) => string): T {
  return JSON.parse(JSON.stringify(value).replaceAll(/node:(\d)/g, (_, index) => nameOfNode(Number(index))));
}

export const merge: SendOptions = { contentType: 'application/merge-patch+json' };
