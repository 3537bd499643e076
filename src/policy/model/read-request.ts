import type { Binding, Workload } from './placement.ts';
import {
  field,
  type JsonObject,
  readBoolean,
  readObject,
  readString,
  readStringList,
  readStringMap,
  ShapeError,
} from './read.ts';
import { readNode } from './read-node.ts';
import { readPod, readTemplate } from './read-pod.ts';
import { type AdmissionRequest, type Operation, pathOf, type Subject } from './request.ts';

const operations: readonly string[] = ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'];

interface Judged {
  readonly group: string;
  readonly kind: string;
  /** Where the template of its pods stands; undefined for what is no workload. */
  readonly template?: readonly string[];
}

/** Resources that rules can judge, with the kind that a review of each must hold. Served in version v1. */
const judged: Readonly<Record<string, Judged>> = {
  pods: { group: '', kind: 'Pod' },
  'pods/status': { group: '', kind: 'Pod' },
  bindings: { group: '', kind: 'Binding' },
  'pods/binding': { group: '', kind: 'Binding' },
  nodes: { group: '', kind: 'Node' },
  'nodes/status': { group: '', kind: 'Node' },
  podtemplates: { group: '', kind: 'PodTemplate', template: ['template'] },
  replicationcontrollers: { group: '', kind: 'ReplicationController', template: ['spec', 'template'] },
  deployments: { group: 'apps', kind: 'Deployment', template: ['spec', 'template'] },
  replicasets: { group: 'apps', kind: 'ReplicaSet', template: ['spec', 'template'] },
  statefulsets: { group: 'apps', kind: 'StatefulSet', template: ['spec', 'template'] },
  daemonsets: { group: 'apps', kind: 'DaemonSet', template: ['spec', 'template'] },
  jobs: { group: 'batch', kind: 'Job', template: ['spec', 'template'] },
  cronjobs: { group: 'batch', kind: 'CronJob', template: ['spec', 'jobTemplate', 'spec', 'template'] },
};

/** Kinds with a template of pods (Kubernetes 1.37), with group and plural name. */
export const workloads: readonly { readonly group: string; readonly resource: string }[] = Object.entries(judged)
  .filter(([, { template }]) => template !== undefined)
  .map(([resource, { group }]) => ({ group, resource }));

/** Group and plural name of what rules can judge, by kind and apiVersion; for readers of manifests. */
export function resourceOf(
  apiVersion: string,
  kind: string,
): { readonly group: string; readonly resource: string } | undefined {
  const found = Object.entries(judged).find(
    ([, entry]) => entry.kind === kind && apiVersion === (entry.group === '' ? 'v1' : `${entry.group}/v1`),
  );
  return found === undefined ? undefined : { group: found[1].group, resource: found[0] };
}

/**
 * Reads the `request` of an AdmissionReview v1: the fields that rules read, each checked.
 * @throws ShapeError naming the field that is missing, of a wrong type, or contradicts another.
 */
export function readRequest(value: unknown): AdmissionRequest {
  const request = readObject(value, 'request');
  const { head, known, kind } = readHead(request);
  const object = field(request, 'object') ?? undefined;
  const oldObject = field(request, 'oldObject') ?? undefined;
  if (object !== undefined) checkObjectKind(readObject(object, 'request.object'), kind, head.kind);
  const { operation, namespace, name } = head;
  return {
    ...head,
    dryRun: readBoolean(field(request, 'dryRun'), 'request.dryRun'),
    subject:
      known === undefined
        ? undefined
        : readSubject(known, { resource: pathOf(head), operation, object, oldObject, namespace, name }),
    object,
    oldObject,
  };
}

/** Reads a `request` up to its object: what an API server writes before it. @throws ShapeError */
export function readRequestHead(value: unknown, excess: string): AdmissionRequest {
  const { head } = readHead(readObject(value, 'request'));
  return { ...head, dryRun: false, subject: undefined, object: undefined, oldObject: undefined, excess };
}

interface RequestHead {
  readonly head: Omit<AdmissionRequest, 'dryRun' | 'subject' | 'object' | 'oldObject'>;
  /** Undefined where no rule reads such requests. */
  readonly known: Judged | undefined;
  readonly kind: JsonObject;
}

function readHead(request: JsonObject): RequestHead {
  const uid = required(request, 'uid');
  const operation = readOperation(required(request, 'operation'));
  const kind = readObject(field(request, 'kind'), 'request.kind');
  const kindName = required(kind, 'kind', 'request.kind');
  const resource = readObject(field(request, 'resource'), 'request.resource');
  const resourceName = required(resource, 'resource', 'request.resource');
  const group = readString(field(resource, 'group'), 'request.resource.group') ?? '';
  const subResource = readString(field(request, 'subResource'), 'request.subResource') ?? '';
  const user = readObject(field(request, 'userInfo'), 'request.userInfo');
  const path = pathOf({ resource: { group, version: '', resource: resourceName }, subResource });
  const found = Object.hasOwn(judged, path) ? judged[path] : undefined;
  const known = found?.group === group ? found : undefined;
  if (known !== undefined && known.kind !== kindName) {
    throw new ShapeError('request.kind.kind', `is ${kindName}, but resource ${path} holds ${known.kind} objects`);
  }
  const version = readString(field(resource, 'version'), 'request.resource.version') ?? '';
  const head = {
    uid,
    operation,
    resource: { group, version, resource: resourceName },
    subResource,
    kind: kindName,
    name: readString(field(request, 'name'), 'request.name') ?? '',
    namespace: readString(field(request, 'namespace'), 'request.namespace') ?? '',
    requester: {
      username: readString(field(user, 'username'), 'request.userInfo.username') ?? '',
      groups: readStringList(field(user, 'groups'), 'request.userInfo.groups'),
    },
  };
  return { head, known, kind };
}

interface SubjectInput {
  readonly resource: string;
  readonly operation: Operation;
  readonly object: unknown;
  readonly oldObject: unknown;
  readonly namespace: string;
  readonly name: string;
}

function readSubject({ kind, template }: Judged, input: SubjectInput): Subject | undefined {
  const { resource, operation, object, oldObject, namespace } = input;
  // A DELETE has an oldObject only; no rule judges it.
  if (operation !== 'CREATE' && operation !== 'UPDATE') return undefined;
  if (object === undefined)
    throw new ShapeError('request.object', `is null, but ${operation} of ${resource} has an object`);
  if (kind !== 'Node' && namespace === '') {
    throw new ShapeError('request.namespace', `is empty, but ${resource} have a namespace`);
  }
  if (operation === 'UPDATE' && oldObject === undefined) {
    throw new ShapeError('request.oldObject', `is null, but UPDATE of ${resource} has an object before it`);
  }
  if (kind === 'Binding') return { kind: 'binding', binding: readBinding(object, input) };
  if (kind !== 'Node') {
    const read = (value: unknown, path: string): Workload | undefined =>
      template === undefined ? readPod(value, path, namespace) : readTemplate(value, path, template, namespace);
    const pod = read(object, 'request.object');
    const old = operation === 'UPDATE' ? read(oldObject, 'request.oldObject') : undefined;
    return pod === undefined ? undefined : { kind: 'pod', pod, old };
  }
  return {
    kind: 'node',
    node: readNode(object, 'request.object'),
    old: operation === 'UPDATE' ? readNode(oldObject, 'request.oldObject') : undefined,
  };
}

/** On the path of a pod its name is that of the request; on the other path the object alone says it. */
function readBinding(value: unknown, { resource, name, namespace }: SubjectInput): Binding {
  const object = readObject(value, 'request.object');
  const metadata = readObject(field(object, 'metadata'), 'request.object.metadata');
  const target = readObject(field(object, 'target'), 'request.object.target');
  const own = readString(field(metadata, 'name'), 'request.object.metadata.name') ?? '';
  return {
    name: resource === 'pods/binding' && name !== '' ? name : own,
    namespace,
    nodeName: readString(field(target, 'name'), 'request.object.target.name') ?? '',
    labels: readStringMap(field(metadata, 'labels'), 'request.object.metadata.labels'),
    annotations: readStringMap(field(metadata, 'annotations'), 'request.object.metadata.annotations'),
  };
}

/** A review whose resource and object disagree was not made by an API server for this webhook. */
function checkObjectKind(object: JsonObject, kind: JsonObject, kindName: string): void {
  const objectKind = readString(field(object, 'kind'), 'request.object.kind');
  if (objectKind !== undefined && objectKind !== kindName) {
    throw new ShapeError('request.object.kind', `is ${objectKind}, but request.kind says ${kindName}`);
  }
  const version = readString(field(object, 'apiVersion'), 'request.object.apiVersion');
  const group = readString(field(kind, 'group'), 'request.kind.group') ?? '';
  const kindVersion = readString(field(kind, 'version'), 'request.kind.version');
  const wanted = group === '' ? kindVersion : `${group}/${kindVersion}`;
  if (version !== undefined && kindVersion !== undefined && version !== wanted) {
    throw new ShapeError('request.object.apiVersion', `is ${version}, but request.kind says ${wanted}`);
  }
}

function readOperation(text: string): Operation {
  if (!operations.includes(text)) {
    throw new ShapeError(
      'request.operation',
      `is ${JSON.stringify(text.slice(0, 32))}, must be one of ${operations.join(', ')}`,
    );
  }
  return text as Operation;
}

function required(object: JsonObject, key: string, path = 'request'): string {
  const value = readString(field(object, key), `${path}.${key}`);
  if (value === undefined || value === '') throw new ShapeError(`${path}.${key}`, 'is missing');
  return value;
}
