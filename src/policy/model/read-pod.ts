import type { NodeSelectorTerm, Requirement } from '../kube/node-selector.ts';
import { isPositiveQuantity } from '../kube/quantity.ts';
import type { Toleration } from '../kube/taint.ts';
import type { ClaimReference } from './claims.ts';
import type { LivePod, OwnerKind, Placement, Workload } from './placement.ts';
import {
  field,
  type JsonObject,
  readBoolean,
  readInteger,
  readList,
  readObject,
  readString,
  readStringList,
  readStringMap,
  ShapeError,
} from './read.ts';

/**
 * Reads a v1 Pod into what rules see of it. Checks the shape of the fields that rules read and of no others.
 * @param value the Pod, as parsed JSON.
 * @param path where it stands, for messages: `object`.
 * @param namespace the request's namespace, which wins over the object's own (a manifest may leave it out).
 * @throws ShapeError with the path of the field that is not of its type, or of a quantity that the API server would refuse.
 */
export function readPod(value: unknown, path: string, namespace: string): Workload {
  const pod = readObject(value, path);
  const metadata = readObject(field(pod, 'metadata'), `${path}.metadata`);
  return {
    ...readPodBody(pod, path),
    path: '',
    name: nameIn(metadata, `${path}.metadata`),
    namespace,
    controller: readController(metadata, `${path}.metadata`),
  };
}

/**
 * Reads the pod that would be made of a template, such as a Deployment's.
 * @param value the object that holds it, as parsed JSON.
 * @param at where the template stands in it: `['spec', 'template']`.
 * @returns undefined where there is none: a ReplicationController may go without.
 * @throws ShapeError as `readPod` does.
 */
export function readTemplate(
  value: unknown,
  path: string,
  at: readonly string[],
  namespace: string,
): Workload | undefined {
  const object = readObject(value, path);
  let template: unknown = object;
  let templatePath = path;
  for (const key of at) {
    template = field(readObject(template, templatePath), key) ?? undefined;
    templatePath += `.${key}`;
  }
  if (template === undefined) return undefined;
  return {
    ...readPodBody(readObject(template, templatePath), templatePath),
    path: `${at.join('.')}.`,
    name: nameIn(readObject(field(object, 'metadata'), `${path}.metadata`), `${path}.metadata`),
    namespace,
    // What a template says of owners is not taken over.
    controller: undefined,
  };
}

/** The metadata of a live pod. @throws ShapeError */
export function readLivePod(value: unknown, path: string): LivePod {
  return readMetadata(readObject(value, path), path);
}

function nameIn(metadata: JsonObject, path: string): string {
  const name = readString(field(metadata, 'name'), `${path}.name`);
  return name ?? readString(field(metadata, 'generateName'), `${path}.generateName`) ?? '';
}

/** The API server lets at most one owner be the controller. */
function readController(metadata: JsonObject, path: string): OwnerKind | undefined {
  const owners = readList(field(metadata, 'ownerReferences'), `${path}.ownerReferences`);
  for (let i = 0; i < owners.length; i++) {
    const at = `${path}.ownerReferences[${i}]`;
    const owner = readObject(owners[i], at);
    if (!readBoolean(field(owner, 'controller'), `${at}.controller`)) continue;
    return {
      apiVersion: readString(field(owner, 'apiVersion'), `${at}.apiVersion`) ?? '',
      kind: readString(field(owner, 'kind'), `${at}.kind`) ?? '',
    };
  }
  return undefined;
}

function readMetadata(pod: JsonObject, path: string): LivePod {
  const metadata = readObject(field(pod, 'metadata'), `${path}.metadata`);
  return {
    generateName: readString(field(metadata, 'generateName'), `${path}.metadata.generateName`) || undefined,
    labels: readStringMap(field(metadata, 'labels'), `${path}.metadata.labels`),
    annotations: readStringMap(field(metadata, 'annotations'), `${path}.metadata.annotations`),
  };
}

/** What a pod and a template have in common. */
function readPodBody(pod: JsonObject, path: string): Omit<Workload, 'path' | 'name' | 'namespace' | 'controller'> {
  const spec = readObject(field(pod, 'spec'), `${path}.spec`);
  return {
    ...readMetadata(pod, path),
    placement: readPlacement(spec, `${path}.spec`),
    demands: {
      resources: readResources(spec, `${path}.spec`),
      claims: readClaims(spec, `${path}.spec`),
      schedulerName: readString(field(spec, 'schedulerName'), `${path}.spec.schedulerName`) ?? 'default-scheduler',
    },
    gated: readList(field(spec, 'schedulingGates'), `${path}.spec.schedulingGates`).length > 0,
  };
}

/** Reads the placement out of a pod spec. */
function readPlacement(spec: JsonObject, path: string): Placement {
  const nodeName = readString(field(spec, 'nodeName'), `${path}.nodeName`);
  return {
    nodeName: nodeName === '' ? undefined : nodeName,
    nodeSelector: readStringMap(field(spec, 'nodeSelector'), `${path}.nodeSelector`),
    terms: readTerms(spec, path),
    tolerations: readList(field(spec, 'tolerations'), `${path}.tolerations`).map((entry, i) =>
      readToleration(entry, `${path}.tolerations[${i}]`),
    ),
  };
}

/** Path of the required node affinity's terms below a pod spec. */
export const termsPath = 'affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms';

function readTerms(spec: JsonObject, path: string): readonly NodeSelectorTerm[] | undefined {
  const affinity = readObject(field(spec, 'affinity'), `${path}.affinity`);
  const nodeAffinity = readObject(field(affinity, 'nodeAffinity'), `${path}.affinity.nodeAffinity`);
  const key = 'requiredDuringSchedulingIgnoredDuringExecution';
  const required = field(nodeAffinity, key);
  if (required === undefined || required === null) return undefined;
  const terms = field(readObject(required, `${path}.affinity.nodeAffinity.${key}`), 'nodeSelectorTerms');
  return readList(terms, `${path}.${termsPath}`).map((entry, i) => readTerm(entry, `${path}.${termsPath}[${i}]`));
}

const emptyTerm: NodeSelectorTerm = { matchExpressions: [], matchFields: [] };

function readTerm(value: unknown, path: string): NodeSelectorTerm {
  const term = readObject(value, path);
  const matchExpressions = field(term, 'matchExpressions');
  const matchFields = field(term, 'matchFields');
  // The smallest thing that a pod can hold hundreds of thousands of.
  if (matchExpressions === undefined && matchFields === undefined) return emptyTerm;
  return {
    matchExpressions: readRequirements(matchExpressions, `${path}.matchExpressions`),
    matchFields: readRequirements(matchFields, `${path}.matchFields`),
  };
}

function readRequirements(value: unknown, path: string): readonly Requirement[] {
  return readList(value, path).map((entry, i) => {
    const at = `${path}[${i}]`;
    const requirement = readObject(entry, at);
    return {
      key: readString(field(requirement, 'key'), `${at}.key`) ?? '',
      operator: readString(field(requirement, 'operator'), `${at}.operator`) ?? '',
      values: readStringList(field(requirement, 'values'), `${at}.values`),
    };
  });
}

function readToleration(value: unknown, path: string): Toleration {
  const entry = readObject(value, path);
  const key = readString(field(entry, 'key'), `${path}.key`);
  const operator = readString(field(entry, 'operator'), `${path}.operator`);
  const text = readString(field(entry, 'value'), `${path}.value`);
  const effect = readString(field(entry, 'effect'), `${path}.effect`);
  const seconds = readInteger(field(entry, 'tolerationSeconds'), `${path}.tolerationSeconds`);
  return {
    ...(key !== undefined && { key }),
    ...(operator !== undefined && { operator }),
    ...(text !== undefined && { value: text }),
    ...(effect !== undefined && { effect }),
    ...(seconds !== undefined && { tolerationSeconds: seconds }),
  };
}

/**
 * Names of the resources that the pod asks for above zero, over containers, init containers and the pod itself: OSMO renders
 * `nvidia.com/gpu: '0'` into CPU pods, so presence alone says nothing.
 */
function readResources(spec: JsonObject, path: string): readonly string[] {
  const names = new Set<string>();
  for (const list of ['containers', 'initContainers']) {
    const containers = readList(field(spec, list), `${path}.${list}`);
    for (let i = 0; i < containers.length; i++) {
      const at = `${path}.${list}[${i}]`;
      addResources(names, field(readObject(containers[i], at), 'resources'), `${at}.resources`);
    }
  }
  addResources(names, field(spec, 'resources'), `${path}.resources`);
  return [...names];
}

const noClaims: readonly ClaimReference[] = [];

/** An entry names one of the two (Kubernetes 1.31 and later); the API server refuses one that names none. */
function readClaims(spec: JsonObject, path: string): readonly ClaimReference[] {
  const entries = readList(field(spec, 'resourceClaims'), `${path}.resourceClaims`);
  if (entries.length === 0) return noClaims;
  return entries.flatMap((value, i): ClaimReference[] => {
    const at = `${path}.resourceClaims[${i}]`;
    const entry = readObject(value, at);
    const template = readString(field(entry, 'resourceClaimTemplateName'), `${at}.resourceClaimTemplateName`);
    if (template !== undefined) return [{ kind: 'ResourceClaimTemplate', name: template }];
    const claim = readString(field(entry, 'resourceClaimName'), `${at}.resourceClaimName`);
    return claim === undefined ? [] : [{ kind: 'ResourceClaim', name: claim }];
  });
}

function addResources(names: Set<string>, value: unknown, path: string): void {
  const resources = readObject(value, path);
  for (const list of ['limits', 'requests']) {
    const quantities = readObject(field(resources, list), `${path}.${list}`);
    for (const resource of Object.keys(quantities)) {
      const positive = isPositive(quantities[resource]);
      if (positive === undefined) {
        throw new ShapeError(
          `${path}.${list}[${resource}]`,
          `${JSON.stringify(quantities[resource])?.slice(0, 64)} is no quantity: write a number with an optional suffix, such as "4", "500m" or "8Gi"`,
        );
      }
      if (positive) names.add(resource);
    }
  }
}

/** A manifest may give a quantity as a bare number, or with spaces around it; the API server takes both. */
function isPositive(value: unknown): boolean | undefined {
  if (typeof value === 'string') return isPositiveQuantity(value) ?? isPositiveQuantity(value.trim());
  if (typeof value === 'number') return isPositiveQuantity(String(value));
  return undefined;
}
