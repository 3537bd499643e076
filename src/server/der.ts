/** The few forms of DER (ITU-T X.690) that an X.509 certificate needs. Each function that writes returns a whole tag-length-value. */

function encode(tag: number, content: Uint8Array): Buffer {
  const { length } = content;
  const head =
    length < 128 ? [tag, length] : length < 256 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from(head), content]);
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => encode(0x30, Buffer.concat(parts));
export const set = (...parts: readonly Uint8Array[]): Buffer => encode(0x31, Buffer.concat(parts));
export const octetString = (content: Uint8Array): Buffer => encode(0x04, content);
export const utf8String = (text: string): Buffer => encode(0x0c, Buffer.from(text));
export const boolean = (value: boolean): Buffer => encode(0x01, Buffer.from([value ? 0xff : 0]));

/** A context-specific tag: constructed as in `[0] EXPLICIT`, or primitive as in `[2] IMPLICIT`. */
export const context = (tag: number, content: Uint8Array, constructed: boolean): Buffer =>
  encode((constructed ? 0xa0 : 0x80) | tag, content);

/** An unsigned integer; a leading zero byte keeps it positive. */
export function integer(bytes: Uint8Array): Buffer {
  const trimmed = bytes.subarray(
    Math.max(
      0,
      bytes.findIndex((byte) => byte !== 0),
    ),
  );
  return encode(0x02, (trimmed[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), trimmed]) : trimmed);
}

/** @param unused how many bits at the end do not count. */
export const bitString = (content: Uint8Array, unused = 0): Buffer =>
  encode(0x03, Buffer.concat([Buffer.from([unused]), content]));

/** An object identifier in dotted form. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes: number[] = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 127];
    for (let value = arc >> 7; value > 0; value >>= 7) groups.unshift((value & 127) | 128);
    bytes.push(...groups);
  }
  return encode(0x06, Buffer.from(bytes));
}

/** RFC 5280, 4.1.2.5: UTCTime until 2049, GeneralizedTime from 2050; whole seconds, UTC. */
export function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-:T]|\.\d+/g, '');
  return date.getUTCFullYear() < 2050 ? encode(0x17, Buffer.from(digits.slice(2))) : encode(0x18, Buffer.from(digits));
}

/** One tag-length-value that was read. */
export interface Element {
  readonly tag: number;
  readonly content: Buffer;
  readonly whole: Buffer;
}

/** The elements that follow each other in DER that a parser has accepted before: lengths of up to four bytes, tags of one. */
export function elementsOf(der: Buffer): readonly Element[] {
  const elements: Element[] = [];
  for (let at = 0; at + 1 < der.length; ) {
    const short = der.readUInt8(at + 1);
    const lengthBytes = short < 128 ? 0 : short & 127;
    const length = lengthBytes === 0 ? short : der.readUIntBE(at + 2, lengthBytes);
    const start = at + 2 + lengthBytes;
    const end = start + length;
    elements.push({ tag: der.readUInt8(at), content: der.subarray(start, end), whole: der.subarray(at, end) });
    at = end;
  }
  return elements;
}

/** The elements inside of one; none where there is none. */
export function childrenOf(element: Element | undefined): readonly Element[] {
  return element === undefined ? [] : elementsOf(element.content);
}
