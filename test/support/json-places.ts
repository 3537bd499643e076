/** Where a member of a JSON text stands: the bytes of its key, or of its value. */
export interface JsonPlace {
  /** `findings[0].rule`, and `findings[0].rule (key)`. */
  readonly path: string;
  /** First byte, and the one after the last. */
  readonly from: number;
  readonly to: number;
}

/** Every key, and every value that holds no other, of a canonical JSON text. @throws Error for a text in another form. */
export function placesOf(text: string): readonly JsonPlace[] {
  const places: JsonPlace[] = [];
  const add = (path: string, at: number, piece: string): number => {
    const to = at + Buffer.byteLength(piece);
    places.push({ path, from: at, to });
    return to;
  };
  /** @returns the byte after the value. */
  const walk = (value: unknown, path: string, at: number): number => {
    if (typeof value !== 'object' || value === null || Object.keys(value).length === 0)
      return add(path, at, JSON.stringify(value));
    let next = at + 1;
    for (const [key, member] of Object.entries(value)) {
      const own = Array.isArray(value) ? `${path}[${key}]` : `${path === '' ? '' : `${path}.`}${key}`;
      // Its comma or the closing bracket is the byte after each.
      const from = Array.isArray(value) ? next : add(`${own} (key)`, next, JSON.stringify(key)) + 1;
      next = walk(member, own, from) + 1;
    }
    return next;
  };
  const end = walk(JSON.parse(text), '', 0);
  if (end !== Buffer.byteLength(text)) throw new Error(`no canonical JSON: ${text.slice(0, 80)}`);
  return places;
}

/** The text with a bit of the place's middle byte turned over. */
export function flipped(text: string, { from, to }: JsonPlace): Buffer {
  const bytes = Buffer.from(text);
  const middle = Math.floor((from + to) / 2);
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  return bytes;
}
