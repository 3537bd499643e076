import type { PatchOperation } from '../policy/model/edit.ts';

/**
 * Applies our own patches to an object, as the API server would between mutation and validation. Knows `add`, and `remove` of
 * an object's member: the product makes no other operation. The input is not changed.
 * @throws Error for a path that does not exist, as the API server would refuse it.
 */
export function applyPatch(object: unknown, operations: readonly PatchOperation[]): unknown {
  if (operations.length === 0) return object;
  const patched: unknown = structuredClone(object);
  for (const operation of operations) {
    const { path } = operation;
    const segments = path
      .split('/')
      .slice(1)
      .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = segments.pop() ?? '';
    let parent: unknown = patched;
    for (const segment of segments) parent = member(parent, segment, path);
    if (operation.op === 'remove') {
      if (!isRecord(parent) || !Object.hasOwn(parent, last)) throw new Error(`patch path ${path} does not exist`);
      delete parent[last];
      continue;
    }
    const { value } = operation;
    if (Array.isArray(parent)) parent.splice(last === '-' ? parent.length : Number(last), 0, structuredClone(value));
    else if (isRecord(parent)) parent[last] = structuredClone(value);
    else throw new Error(`patch path ${path} does not exist`);
  }
  return patched;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function member(value: unknown, segment: string, path: string): unknown {
  if (Array.isArray(value)) return value[Number(segment)];
  if (isRecord(value) && Object.hasOwn(value, segment)) return value[segment];
  throw new Error(`patch path ${path} does not exist`);
}
