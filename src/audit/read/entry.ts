import { clip } from '../../policy/kube/text.ts';
import { field, isObject, type JsonObject } from '../../policy/model/read.ts';
import { hashOf } from '../chain.ts';
import { type AuditLine, type LineHeader, lineApiVersion } from '../line.ts';
import type { RawLine } from './split-lines.ts';

/** Where a line stands. */
export interface Place {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 0, in the uncompressed text. */
  readonly offset: number;
}

/** What every line of the log has, beside what its kind has. */
export interface Header extends Omit<LineHeader, 'apiVersion' | 'cluster'> {
  readonly kind: string;
}

/** A line as it was read: nothing in it is believed yet. */
export interface Entry {
  readonly place: Place;
  /** Hex SHA-256 of its bytes. */
  readonly hash: string;
  readonly torn: boolean;
  /** Undefined where the line is none of ours. */
  readonly header: Header | undefined;
  /** Empty where the line is no JSON object. */
  readonly value: JsonObject;
}

/** An entry that is a line of ours. */
export interface Line extends Entry {
  readonly header: Header;
}

/** A line of any other kind is none: a checkpoint would be one no more, and nobody would look at its signature. */
export const lineKinds: ReadonlySet<string> = new Set<AuditLine['kind']>([
  ...(['AdmissionRecord', 'LogStart', 'LogStop', 'PolicyRecord', 'CertificateRecord'] as const),
  ...(['ConfigurationRecord', 'FileRecord', 'GapRecord', 'Checkpoint'] as const),
]);

const nothing: JsonObject = Object.freeze({});

export function readEntry(file: string, { bytes, number, offset, torn }: RawLine): Entry {
  const value = parse(bytes);
  return {
    place: { file, line: number, offset },
    hash: hashOf(bytes),
    torn,
    header: readHeader(value),
    value,
  };
}

export function isLine(entry: Entry): entry is Line {
  return entry.header !== undefined;
}

function parse(bytes: Uint8Array): JsonObject {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'));
    return isObject(value) ? value : nothing;
  } catch {
    return nothing;
  }
}

function readHeader(value: JsonObject): Header | undefined {
  const kind = text(value, 'kind');
  const sequence = field(value, 'sequence');
  if (!lineKinds.has(kind) || field(value, 'apiVersion') !== lineApiVersion) return undefined;
  if (typeof sequence !== 'number' || !Number.isSafeInteger(sequence) || sequence < 1) return undefined;
  const boot = text(value, 'boot');
  const previous = text(value, 'previous');
  if (boot === '' || previous === '') return undefined;
  return { kind, sequence, boot, previous, time: text(value, 'time'), replica: text(value, 'replica') };
}

/** A member that should be a string; empty where it is not. */
export function text(object: JsonObject, key: string): string {
  const value = field(object, key);
  return typeof value === 'string' ? value : '';
}

/** A member that should be a number; 0 where it is not. */
export function number(object: JsonObject, key: string): number {
  const value = field(object, key);
  return typeof value === 'number' ? value : 0;
}

/** A member that should be an object; empty where it is not. */
export function object(value: JsonObject, key: string): JsonObject {
  const member = field(value, key);
  return isObject(member) ? member : nothing;
}

/** Members of a list that are objects. */
export function objects(value: JsonObject, key: string): readonly JsonObject[] {
  const list = field(value, key);
  return Array.isArray(list) ? list.filter(isObject) : [];
}

/** `audit.log:17`. */
export function placeText({ file, line }: Place): string {
  return `${fileText(file)}:${line}`;
}

/** The name of a file for people: whoever can make a file beside the log can name it. */
export function fileText(file: string): string {
  return clip(file, 4_096);
}
