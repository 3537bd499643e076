import { field, type JsonObject, readBoolean, readObject, readString, readStringList, ShapeError } from './read.ts';
import { readNode } from './read-node.ts';
import { readPod } from './read-pod.ts';
import { type AdmissionRequest, type Operation, pathOf, type Subject } from './request.ts';

const operations: readonly string[] = ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'];

/** Resources that rules can judge, with the kind that a review of each must hold. */
const subjects: Readonly<Record<string, { readonly group: string; readonly kind: string }>> = {
  pods: { group: '', kind: 'Pod' },
  nodes: { group: '', kind: 'Node' },
  'nodes/status': { group: '', kind: 'Node' },
};

/** Plural resource names that rules can judge, by kind and apiVersion; for readers of manifests. */
export function resourceOf(apiVersion: string, kind: string): string | undefined {
  if (apiVersion !== 'v1') return undefined;
  return Object.keys(subjects).find((resource) => subjects[resource]?.kind === kind);
}

/**
 * Reads the `request` of an AdmissionReview v1: the fields that rules read, each checked.
 * @throws ShapeError naming the field that is missing, of a wrong type, or contradicts another.
 */
export function readRequest(value: unknown): AdmissionRequest {
  const request = readObject(value, 'request');
  const uid = required(request, 'uid');
  const operation = readOperation(required(request, 'operation'));
  const kind = readObject(field(request, 'kind'), 'request.kind');
  const kindName = required(kind, 'kind', 'request.kind');
  const resource = readObject(field(request, 'resource'), 'request.resource');
  const resourceName = required(resource, 'resource', 'request.resource');
  const group = readString(field(resource, 'group'), 'request.resource.group') ?? '';
  const subResource = readString(field(request, 'subResource'), 'request.subResource') ?? '';
  const user = readObject(field(request, 'userInfo'), 'request.userInfo');
  const namespace = readString(field(request, 'namespace'), 'request.namespace') ?? '';
  const object = field(request, 'object') ?? undefined;
  const oldObject = field(request, 'oldObject') ?? undefined;
  const path = pathOf({ resource: { group, version: '', resource: resourceName }, subResource });
  const known = Object.hasOwn(subjects, path) ? subjects[path] : undefined;
  if (known !== undefined && known.group === group && known.kind !== kindName) {
    throw new ShapeError('request.kind.kind', `is ${kindName}, but resource ${path} holds ${known.kind} objects`);
  }
  if (object !== undefined) checkObjectKind(readObject(object, 'request.object'), kind, kindName);
  return {
    uid,
    operation,
    resource: {
      group,
      version: readString(field(resource, 'version'), 'request.resource.version') ?? '',
      resource: resourceName,
    },
    subResource,
    kind: kindName,
    name: readString(field(request, 'name'), 'request.name') ?? '',
    namespace,
    requester: {
      username: readString(field(user, 'username'), 'request.userInfo.username') ?? '',
      groups: readStringList(field(user, 'groups'), 'request.userInfo.groups'),
    },
    dryRun: readBoolean(field(request, 'dryRun'), 'request.dryRun'),
    subject:
      known !== undefined && known.group === group
        ? readSubject({ resource: path, operation, object, oldObject, namespace })
        : undefined,
    object,
    oldObject,
  };
}

interface SubjectInput {
  readonly resource: string;
  readonly operation: Operation;
  readonly object: unknown;
  readonly oldObject: unknown;
  readonly namespace: string;
}

function readSubject({ resource, operation, object, oldObject, namespace }: SubjectInput): Subject | undefined {
  // A DELETE has an oldObject only; no rule judges it.
  if (operation !== 'CREATE' && operation !== 'UPDATE') return undefined;
  if (object === undefined)
    throw new ShapeError('request.object', `is null, but ${operation} of ${resource} has an object`);
  if (resource === 'pods') {
    if (namespace === '') throw new ShapeError('request.namespace', 'is empty, but pods have a namespace');
    return { kind: 'pod', pod: readPod(object, 'request.object', namespace) };
  }
  if (operation === 'UPDATE' && oldObject === undefined) {
    throw new ShapeError('request.oldObject', `is null, but UPDATE of ${resource} has an object before it`);
  }
  return {
    kind: 'node',
    node: readNode(object, 'request.object'),
    old: operation === 'UPDATE' ? readNode(oldObject, 'request.oldObject') : undefined,
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
