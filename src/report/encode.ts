import { deflateRawSync } from 'node:zlib';
import { canonicalize } from '../audit/canonical.ts';
import { type Line, object, objects, text } from '../audit/read/entry.ts';
import { detailOf, resourceOf } from '../audit/read/query.ts';
import { field } from '../policy/model/read.ts';
import type { IndexedFinding, RecordIndex, TextColumn } from './records.ts';
import { cellText } from './visible.ts';

/** Records as the page carries them: deflated (RFC 1951) and in base64, which no HTML parser reads anything into. */
export interface EncodedRecords {
  readonly index: string;
  readonly blocks: readonly string[];
  readonly count: number;
  /** Records that are there by their columns alone: they are too long, or the page was full. */
  readonly withoutText: number;
}

export interface RecordEncoder {
  add(line: Line): void;
  finish(): EncodedRecords;
}

const blockSize = 512;

/** A record that is longer is shown by its columns; the program's own are a hundredth of it. */
const maxRecordLength = 4 * 1024 * 1024;

/** Room in the page. */
export interface Room {
  /** For columns and blocks, in bytes. */
  readonly bytes: number;
  /** For texts of the columns, in characters. */
  readonly textLength: number;
}

/** Everything else takes the rest of 20 MB. A hundred thousand names of the usual length are half of the texts. */
const defaultRoom: Room = { bytes: 17_500_000, textLength: 10_000_000 };

/** What a cell shows where there was no room: names that long, of so many records, are forged. */
const noRoom = '(no room in the page)';

export function createRecordEncoder(room: Room = defaultRoom): RecordEncoder {
  const texts = createTable<string>((value) => value);
  const findings = createTable<readonly IndexedFinding[]>((value) => JSON.stringify(value));
  const exemptions = createTable<readonly string[]>((value) => JSON.stringify(value));
  const [noFinding, noExemption]: [readonly IndexedFinding[], readonly string[]] = [[[noRoom, '', '']], [noRoom]];
  const columns: Record<keyof RecordIndex['columns'], number[]> = {
    ...{ time: [], kind: [], decision: [], phase: [], verb: [], user: [], resource: [], namespace: [], name: [] },
    ...{ replica: [], policy: [], file: [], line: [], detail: [], finding: [], exemption: [], dryRun: [] },
  };
  const blocks: string[] = [];
  /** Records of each block whose text is there. */
  const sizes: number[] = [];
  let waiting: string[] = [];
  let blockBytes = 0;
  let textLength = 0;
  let withoutText = 0;

  const putText = (column: TextColumn, value: string): void => {
    const cell = cellText(value);
    const isRoom = textLength + cell.length <= room.textLength || texts.has(cell);
    const before = texts.all.length;
    columns[column].push(texts.at(isRoom ? cell : noRoom));
    if (texts.all.length > before) textLength += cell.length;
  };

  /** Lists are texts, too: they share the room. */
  const putList = <T extends readonly unknown[]>(table: Table<T>, value: T, instead: T): number => {
    const { length } = JSON.stringify(value);
    if (table.has(value)) return table.at(value);
    if (textLength + length > room.textLength) return table.at(instead);
    textLength += length;
    return table.at(value);
  };

  const flush = (): void => {
    if (waiting.length === 0) return;
    const block = deflated(waiting.join('\n'));
    sizes.push(waiting.filter((line) => line !== '').length);
    blockBytes += block.length;
    blocks.push(block);
    waiting = [];
    makeRoom(0);
  };

  /** Takes the last blocks out until there is room for the others and so many bytes. */
  const makeRoom = (bytes: number): void => {
    for (let at = blocks.length - 1; at >= 0 && blockBytes + bytes > room.bytes; at--) {
      blockBytes -= blocks[at]?.length ?? 0;
      if (blocks[at] !== '') withoutText += sizes[at] ?? 0;
      blocks[at] = '';
    }
  };

  return {
    add(line) {
      const { header, value, place } = line;
      const ref = object(value, 'objectRef');
      const ms = Date.parse(header.time);
      columns.time.push(Number.isNaN(ms) ? -1 : ms);
      putText('kind', header.kind);
      putText('decision', text(value, 'decision'));
      putText('phase', text(value, 'phase'));
      putText('verb', text(value, 'verb'));
      putText('user', text(object(value, 'user'), 'username'));
      putText('resource', resourceOf(value));
      putText('namespace', text(ref, 'namespace'));
      putText('name', text(ref, 'name'));
      putText('replica', header.replica);
      putText('policy', text(value, 'policyDigest') || text(value, 'digest'));
      putText('file', place.file);
      putText('detail', detailOf(value));
      columns.line.push(place.line);
      columns.finding.push(putList(findings, findingsOf(value), noFinding));
      const reasons = objects(value, 'exemptions').map((entry) => cellText(text(entry, 'reason')));
      columns.exemption.push(putList(exemptions, reasons, noExemption));
      columns.dryRun.push(field(value, 'dryRun') === true ? 1 : 0);
      const whole = recordText(value);
      if (whole === '') withoutText += 1;
      waiting.push(whole);
      if (waiting.length === blockSize) flush();
    },
    finish() {
      flush();
      const known = columns.time.filter((ms) => ms >= 0);
      const since = known.reduce((least, ms) => Math.min(least, ms), known[0] ?? 0);
      const index: RecordIndex = {
        count: columns.time.length,
        since,
        texts: texts.all,
        findings: findings.all,
        exemptions: exemptions.all,
        columns: { ...columns, time: columns.time.map((ms) => (ms < 0 ? -1 : ms - since)) },
        blockSize,
      };
      const encoded = deflated(JSON.stringify(index));
      makeRoom(encoded.length);
      return { index: encoded, blocks, count: index.count, withoutText };
    },
  };
}

function findingsOf(value: Line['value']): readonly IndexedFinding[] {
  const found = objects(value, 'findings').map(
    (finding): IndexedFinding => [
      cellText(text(finding, 'rule')),
      cellText(text(finding, 'reason')),
      cellText(text(finding, 'enforcement')),
    ],
  );
  // One for each fact of a rule is enough to filter by.
  return [...new Map(found.map((finding) => [finding.join('\n'), finding])).values()];
}

/** The record as it stands in the log; empty where it is too long, or has a text that has no canonical form. */
function recordText(value: Line['value']): string {
  try {
    const whole = canonicalize(value);
    return whole.length > maxRecordLength ? '' : whole;
  } catch (error) {
    if (error instanceof TypeError) return '';
    throw error;
  }
}

function deflated(content: string): string {
  return deflateRawSync(content, { level: 9 }).toString('base64');
}

interface Table<T> {
  at(value: T): number;
  has(value: T): boolean;
  readonly all: readonly T[];
}

/** Each different value once. */
function createTable<T>(keyOf: (value: T) => string): Table<T> {
  const all: T[] = [];
  const places = new Map<string, number>();
  return {
    all,
    has: (value) => places.has(keyOf(value)),
    at(value) {
      const key = keyOf(value);
      const known = places.get(key);
      if (known !== undefined) return known;
      places.set(key, all.length);
      all.push(value);
      return all.length - 1;
    },
  };
}
