import { isDeepStrictEqual } from 'node:util';

/** RFC 6902 add, remove, replace and test, for tests: written from the RFC and apart from the product's own applier, so that one can judge the other. */
export interface Operation {
  readonly op: string;
  readonly path: string;
  readonly value?: unknown;
}

export function apply(document: unknown, operations: readonly Operation[]): unknown {
  return operations.reduce((result, operation) => applyOne(result, operation), structuredClone(document));
}

function applyOne(document: unknown, { op, path, value }: Operation): unknown {
  if (path === '') return structuredClone(value);
  const pointer = path
    .split('/')
    .slice(1)
    .map((part) => part.replace(/~1/g, '/').replace(/~0/g, '~'));
  const key = pointer.at(-1) ?? '';
  let target: unknown = document;
  for (const part of pointer.slice(0, -1)) {
    if (typeof target !== 'object' || target === null || !(part in target))
      throw new Error(`${op} ${path}: no ${part}`);
    target = Reflect.get(target, part);
  }
  if (op === 'test') {
    const found = typeof target === 'object' && target !== null ? Reflect.get(target, key) : undefined;
    if (!isDeepStrictEqual(found, value)) throw new Error(`${op} ${path}: is another`);
    return document;
  }
  if (Array.isArray(target)) {
    const index = key === '-' ? target.length : Number(key);
    const last = op === 'add' ? target.length : target.length - 1;
    if (!Number.isInteger(index) || index < 0 || index > last)
      throw new Error(`${op} ${path}: index outside the array`);
    if (op === 'add') target.splice(index, 0, structuredClone(value));
    else if (op === 'replace') target[index] = structuredClone(value);
    else target.splice(index, 1);
    return document;
  }
  if (typeof target !== 'object' || target === null) throw new Error(`${op} ${path}: the parent is no container`);
  if (op !== 'add' && !(key in target)) throw new Error(`${op} ${path}: not there`);
  if (op === 'remove') Reflect.deleteProperty(target, key);
  else Reflect.set(target, key, structuredClone(value));
  return document;
}
