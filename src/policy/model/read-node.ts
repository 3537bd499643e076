import type { Labels } from '../kube/labels.ts';
import type { Taint } from '../kube/taint.ts';
import { type Node, type NodeAddress, type NodeInfo, verifiedAnnotation } from './node.ts';
import {
  field,
  type JsonObject,
  readBoolean,
  readList,
  readObject,
  readString,
  readStringMap,
  readTime,
  ShapeError,
} from './read.ts';

/**
 * Reads a v1 Node into what rules see of it: a small object of its own, so that an index does not hold on to the whole.
 * @throws ShapeError with the path of a field of a wrong type, or of a missing name.
 */
export function readNode(value: unknown, path: string): Node {
  const node = readObject(value, path);
  const metadata = readObject(field(node, 'metadata'), `${path}.metadata`);
  const name = readString(field(metadata, 'name'), `${path}.metadata.name`);
  if (name === undefined || name === '') throw new ShapeError(`${path}.metadata.name`, 'is missing');
  const spec = readObject(field(node, 'spec'), `${path}.spec`);
  const status = readObject(field(node, 'status'), `${path}.status`);
  return {
    name,
    labels: { ...readStringMap(field(metadata, 'labels'), `${path}.metadata.labels`) },
    verified: readAnnotation(metadata, `${path}.metadata`),
    createdAtMs: readTime(metadata, 'creationTimestamp', `${path}.metadata`),
    taints: readList(field(spec, 'taints'), `${path}.spec.taints`).map((taint, i) =>
      readTaint(taint, `${path}.spec.taints[${i}]`),
    ),
    unschedulable: readBoolean(field(spec, 'unschedulable'), `${path}.spec.unschedulable`),
    ready: readReady(status, `${path}.status`),
    capacity: readCapacity(status, `${path}.status.capacity`),
    addresses: readAddresses(status, `${path}.status.addresses`),
    info: readInfo(status, `${path}.status.nodeInfo`),
  };
}

/** Equal in everything that rules read: a heartbeat makes no new node. */
export function sameNode(a: Node, b: Node): boolean {
  return (
    a.name === b.name &&
    // Deleted and made anew while nobody watched.
    a.createdAtMs === b.createdAtMs &&
    a.unschedulable === b.unschedulable &&
    a.ready === b.ready &&
    a.verified === b.verified &&
    sameMap(a.labels, b.labels) &&
    sameMap(a.capacity, b.capacity) &&
    sameList(
      a.taints,
      b.taints,
      (x, y) => x.key === y.key && (x.value ?? '') === (y.value ?? '') && x.effect === y.effect,
    ) &&
    sameList(a.addresses, b.addresses, (x, y) => x.type === y.type && x.address === y.address) &&
    a.info.architecture === b.info.architecture &&
    a.info.containerRuntimeVersion === b.info.containerRuntimeVersion &&
    a.info.kernelVersion === b.info.kernelVersion &&
    a.info.kubeletVersion === b.info.kubeletVersion &&
    a.info.osImage === b.info.osImage
  );
}

function sameMap(a: Labels, b: Labels): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key]);
}

function sameList<T>(a: readonly T[], b: readonly T[], same: (x: T, y: T) => boolean): boolean {
  return (
    a.length === b.length &&
    a.every((x, index) => {
      const y = b[index];
      return y !== undefined && same(x, y);
    })
  );
}

/** The one annotation that rules read: the others of a node are many and long. */
function readAnnotation(metadata: JsonObject, path: string): string | undefined {
  const annotations = readObject(field(metadata, 'annotations'), `${path}.annotations`);
  return readString(field(annotations, verifiedAnnotation), `${path}.annotations[${verifiedAnnotation}]`);
}

function readTaint(value: unknown, path: string): Taint {
  const taint = readObject(value, path);
  const text = readString(field(taint, 'value'), `${path}.value`);
  return {
    key: readString(field(taint, 'key'), `${path}.key`) ?? '',
    ...(text !== undefined && { value: text }),
    effect: readString(field(taint, 'effect'), `${path}.effect`) ?? '',
  };
}

function readReady(status: JsonObject, path: string): boolean {
  return readList(field(status, 'conditions'), `${path}.conditions`).some((value, i) => {
    const condition = readObject(value, `${path}.conditions[${i}]`);
    return field(condition, 'type') === 'Ready' && field(condition, 'status') === 'True';
  });
}

/** Quantities as text; a manifest may give a bare number. */
function readCapacity(status: JsonObject, path: string): Readonly<Record<string, string>> {
  const capacity = readObject(field(status, 'capacity'), path);
  return Object.fromEntries(
    Object.keys(capacity).map((resource) => {
      const value = capacity[resource];
      return [resource, typeof value === 'number' ? String(value) : (readString(value, `${path}[${resource}]`) ?? '')];
    }),
  );
}

function readAddresses(status: JsonObject, path: string): readonly NodeAddress[] {
  return readList(field(status, 'addresses'), path).map((value, i) => {
    const entry = readObject(value, `${path}[${i}]`);
    return {
      type: readString(field(entry, 'type'), `${path}[${i}].type`) ?? '',
      address: readString(field(entry, 'address'), `${path}[${i}].address`) ?? '',
    };
  });
}

function readInfo(status: JsonObject, path: string): NodeInfo {
  const info = readObject(field(status, 'nodeInfo'), path);
  const text = (key: string): string => readString(field(info, key), `${path}.${key}`) ?? '';
  return {
    architecture: text('architecture'),
    containerRuntimeVersion: text('containerRuntimeVersion'),
    kernelVersion: text('kernelVersion'),
    kubeletVersion: text('kubeletVersion'),
    osImage: text('osImage'),
  };
}
