import { ShapeError } from '../policy/model/read.ts';

/**
 * Most values that a review may hold. An object is stored as at most 1.5 MiB, so that more than half a million would take three bytes
 * each: lists of nothing. Parsed, a body of the largest size could take a gigabyte, and one of so many values some 150 MiB.
 */
export const maxValues = 512 * 1024;

/** Objects of the API nest some twenty deep. */
export const maxDepth = 128;

/** A smaller body cannot hold more values: each takes a byte, and a comma or a bracket. */
const leastBytes = 2 * maxValues;

const quote = 0x22;
const comma = 0x2c;
const openList = 0x5b;
const backslash = 0x5c;
const closeList = 0x5d;
const openObject = 0x7b;
const closeObject = 0x7d;
const space = 0x20;

/**
 * Counts what a JSON document holds before it is parsed: exact for JSON, and of no meaning for anything else, which does not parse.
 * @throws ShapeError where that is more than a review has.
 */
export function checkBounds(body: Uint8Array): void {
  if (body.length < leastBytes) return;
  let values = 1;
  let depth = 0;
  let before = 0;
  for (let at = 0; at < body.length; at++) {
    const byte = body[at] ?? 0;
    if (byte <= space) continue;
    const closes = byte === closeList || byte === closeObject;
    // A list or an object holds one value more than it has commas, unless it is empty.
    if (byte === comma || (!closes && (before === openList || before === openObject))) values += 1;
    if (byte === quote) {
      at = endOfString(body, at);
    } else if (closes) {
      depth -= 1;
    } else if (byte === openList || byte === openObject) {
      depth += 1;
      if (depth > maxDepth) throw new ShapeError('', `nests deeper than ${maxDepth}, which no object of the API does`);
    }
    if (values > maxValues) {
      throw new ShapeError('', `holds more than ${maxValues} values, which no object of the API does`);
    }
    before = byte;
  }
}

/** Index of the quote that ends the string which begins at `start`; the length where none does. */
function endOfString(body: Uint8Array, start: number): number {
  let at = start + 1;
  for (; at < body.length; at++) {
    const byte = body[at];
    if (byte === quote) return at;
    if (byte === backslash) at += 1;
  }
  return at;
}
