import { clip } from '../kube/text.ts';

/**
 * Reading of untrusted JSON values, by hand: each reader checks the shape it needs and throws a `ShapeError` that names the
 * path. Nothing is cast. `null` counts as absent, as in the API server's own decoding.
 */

/** The input is not of the shape that Kubernetes gives it. The edge answers with a 4xx that holds this message. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError';
  /** Path of the field, e.g. `object.spec.tolerations[2].key`. */
  readonly path: string;
  constructor(path: string, message: string) {
    // A hostile document chooses its keys, and some messages quote its values.
    super(`${path === '' ? 'the document' : clip(path, 256)}: ${clip(message, 512)}`);
    this.path = path;
  }
}

export type JsonObject = Readonly<Record<string, unknown>>;

const emptyObject: JsonObject = Object.freeze({});
const emptyArray: readonly unknown[] = Object.freeze([]);

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What a person calls the type of a JSON value. */
export function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  return `a ${typeof value}`;
}

function wrong(path: string, wanted: string, value: unknown): ShapeError {
  return new ShapeError(path, `must be ${wanted}, not ${typeName(value)}`);
}

/** An own field of an object: `__proto__` and `constructor` of a hostile document are fields like any other. */
export function field(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** An object, or an empty one where it is absent. */
export function readObject(value: unknown, path: string): JsonObject {
  if (value === undefined || value === null) return emptyObject;
  if (!isObject(value)) throw wrong(path, 'an object', value);
  return value;
}

/** A list, or an empty one where it is absent. */
export function readList(value: unknown, path: string): readonly unknown[] {
  if (value === undefined || value === null) return emptyArray;
  if (!Array.isArray(value)) throw wrong(path, 'a list', value);
  return value;
}

/** A string, or undefined where it is absent. */
export function readString(value: unknown, path: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw wrong(path, 'a string', value);
  return value;
}

/** A boolean, or false where it is absent. */
export function readBoolean(value: unknown, path: string): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value !== 'boolean') throw wrong(path, 'a boolean', value);
  return value;
}

/** An integer, or undefined where it is absent. */
export function readInteger(value: unknown, path: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isInteger(value)) throw wrong(path, 'an integer', value);
  return value;
}

/** A map of strings (labels, annotations, nodeSelector), as it is: the values are checked, nothing is copied. */
export function readStringMap(value: unknown, path: string): Readonly<Record<string, string>> {
  const object = readObject(value, path);
  for (const key of Object.keys(object)) {
    if (typeof object[key] !== 'string') throw wrong(`${path}[${key}]`, 'a string', object[key]);
  }
  return object as Readonly<Record<string, string>>;
}

/** A list of strings, as it is. */
export function readStringList(value: unknown, path: string): readonly string[] {
  const list = readList(value, path);
  for (let i = 0; i < list.length; i++) {
    if (typeof list[i] !== 'string') throw wrong(`${path}[${i}]`, 'a string', list[i]);
  }
  return list as readonly string[];
}

/** A time as the API writes it, in milliseconds of the Unix epoch; undefined where it is not there. @throws ShapeError */
export function readTime(object: JsonObject, key: string, path: string): number | undefined {
  const text = readString(field(object, key), `${path}.${key}`);
  if (text === undefined) return undefined;
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new ShapeError(`${path}.${key}`, 'is no RFC 3339 time');
  return ms;
}
