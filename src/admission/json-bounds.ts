/**
 * Most values that a review may hold. Parsed, a body of the largest size could take a gigabyte, and one of so many values some 150 MiB. An
 * API server can send more, of objects that hold lists of nothing: those are denied, not left to failurePolicy.
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
 * @returns in which way that is more than is parsed; undefined where it is not.
 */
export function excessOf(body: Uint8Array): string | undefined {
  if (body.length < leastBytes) return undefined;
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
      if (depth > maxDepth) return `nests deeper than ${maxDepth}`;
    }
    if (values > maxValues) return `holds more than ${maxValues} values`;
    before = byte;
  }
  return undefined;
}

/**
 * The part of a review that stands before its object, as JSON: an API server writes who asks for what first. Undefined where there is no
 * object, or it is not in these bytes.
 */
export function beforeObject(body: Uint8Array): Uint8Array | undefined {
  let depth = 0;
  for (let at = 0; at < body.length; at++) {
    const byte = body[at] ?? 0;
    if (byte === quote) {
      const end = endOfString(body, at);
      // A member of `request`: no text is taken for a key, since quotes in it are escaped.
      if (depth === 2 && matches(body, at, end)) return body.subarray(0, at);
      at = end;
    } else if (byte === openList || byte === openObject) {
      depth += 1;
    } else if (byte === closeList || byte === closeObject) {
      depth -= 1;
    }
  }
  return undefined;
}

const objectKey = Buffer.from('"object":');

function matches(body: Uint8Array, start: number, end: number): boolean {
  return end - start === objectKey.length - 2 && objectKey.equals(body.subarray(start, end + 2));
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
