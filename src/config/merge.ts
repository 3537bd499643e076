import { isObject } from '../policy/model/read.ts';

/**
 * Lays a policy file over the defaults as Helm lays values over values: maps merge, lists and scalars replace, null takes a
 * default away. Neither input is changed.
 */
export function mergeOver(base: unknown, over: unknown): unknown {
  if (!isObject(base) || !isObject(over)) return over;
  const merged: Record<string, unknown> = { ...base };
  for (const key of Object.keys(over)) {
    const value = over[key];
    // A setting whose default is null says null by itself; elsewhere null takes the default away.
    if (value === null && base[key] !== null) delete merged[key];
    else if (value !== undefined) merged[key] = Object.hasOwn(base, key) ? mergeOver(base[key], value) : value;
  }
  return merged;
}
