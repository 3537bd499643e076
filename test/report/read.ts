import { inflateRawSync } from 'node:zlib';
import { isLine, type Line, readEntry } from '../../src/audit/read/entry.ts';
import { createRecordEncoder, type EncodedRecords, type Room } from '../../src/report/encode.ts';
import type { RecordIndex } from '../../src/report/records.ts';

/** The lines of a log, as the readers hand them over. */
export function linesOf(text: string): readonly Line[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line, at) => readEntry('a.log', { bytes: Buffer.from(line), number: at + 1, offset: 0, torn: false }))
    .filter(isLine);
}

export function encode(lines: readonly Line[], room?: Room): EncodedRecords {
  const encoder = createRecordEncoder(room);
  for (const line of lines) encoder.add(line);
  return encoder.finish();
}

export function inflated(base64: string): string {
  return base64 === '' ? '' : inflateRawSync(Buffer.from(base64, 'base64')).toString();
}

export function indexOf(records: EncodedRecords): RecordIndex {
  return JSON.parse(inflated(records.index));
}
