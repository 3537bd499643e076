/**
 * A set of SHA-256 hashes with a mark for each. Of each hash 127 bits are kept, which nobody makes meet, and a bit for the mark; with the room
 * that a hash table needs these are 19 to 24 bytes an entry, so that millions of them stay small.
 */
export interface HashTable {
  /** @returns false where it is there already. */
  add(hash: string): boolean;
  has(hash: string): boolean;
  /** Marks an entry. @returns false where it is not there. */
  mark(hash: string): boolean;
  isMarked(hash: string): boolean;
  readonly size: number;
  /** Bytes that it takes. */
  readonly bytes: number;
}

const words = 4;
/** Of the last word: whether the entry is marked. A place of which all other bits are 0 is free. */
const markBit = 1;
/** By the first byte of a hash, so that only a small part is copied when it grows. */
const segments = 256;
const minCapacity = 16;
const maxLoad = 0.85;
const growth = 1.25;

interface Segment {
  keys: Uint32Array;
  size: number;
}

export function createHashTable(): HashTable {
  const all = Array.from(
    { length: segments },
    (): Segment => ({ keys: new Uint32Array(minCapacity * words), size: 0 }),
  );
  let size = 0;
  const key = new Uint32Array(words);

  const parse = (hash: string): Segment => {
    for (let i = 0; i < words; i++) key[i] = Number.parseInt(hash.slice(i * 8, i * 8 + 8), 16);
    key[words - 1] = wordOf(key, words - 1) & ~markBit;
    const segment = all[wordOf(key, 0) >>> 24];
    if (segment === undefined) throw new RangeError('a word has 32 bits');
    return segment;
  };

  /** Where the key begins, or the free place for it. */
  const find = ({ keys }: Segment): number => {
    const capacity = keys.length / words;
    let slot = Math.floor((wordOf(key, 1) / 2 ** 32) * capacity);
    for (; !isFree(keys, slot * words) && !holds(keys, slot * words, key); slot = slot + 1 === capacity ? 0 : slot + 1);
    return slot * words;
  };

  const grow = (segment: Segment): void => {
    const old = segment.keys;
    segment.keys = new Uint32Array(Math.ceil((old.length / words) * growth) * words);
    const wanted = key.slice();
    for (let at = 0; at < old.length; at += words) {
      if (isFree(old, at)) continue;
      key.set(old.subarray(at, at + words));
      const mark = wordOf(key, words - 1) & markBit;
      key[words - 1] = wordOf(key, words - 1) & ~markBit;
      const to = find(segment);
      segment.keys.set(key, to);
      segment.keys[to + words - 1] = wordOf(key, words - 1) | mark;
    }
    key.set(wanted);
    // Given back now, not when it is collected.
    if (old.buffer instanceof ArrayBuffer) old.buffer.transfer(0);
  };

  /** Where a hash is; -1 where it is not. */
  const placeOf = (segment: Segment): number => {
    const at = find(segment);
    return isFree(segment.keys, at) ? -1 : at;
  };

  return {
    add(hash) {
      const segment = parse(hash);
      if (placeOf(segment) !== -1) return false;
      if (segment.size + 1 > (segment.keys.length / words) * maxLoad) grow(segment);
      segment.keys.set(key, find(segment));
      segment.size += 1;
      size += 1;
      return true;
    },
    has: (hash) => placeOf(parse(hash)) !== -1,
    mark(hash) {
      const segment = parse(hash);
      const at = placeOf(segment);
      if (at === -1) return false;
      segment.keys[at + words - 1] = wordOf(segment.keys, at + words - 1) | markBit;
      return true;
    },
    isMarked(hash) {
      const segment = parse(hash);
      const at = placeOf(segment);
      return at !== -1 && (wordOf(segment.keys, at + words - 1) & markBit) !== 0;
    },
    get size() {
      return size;
    },
    get bytes() {
      return all.reduce((sum, { keys }) => sum + keys.byteLength, 0);
    },
  };
}

function wordOf(keys: Uint32Array, at: number): number {
  return keys[at] ?? 0;
}

function isFree(keys: Uint32Array, at: number): boolean {
  for (let i = 0; i < words; i++) if (keys[at + i] !== 0) return false;
  return true;
}

function holds(keys: Uint32Array, at: number, key: Uint32Array): boolean {
  for (let i = 0; i < words - 1; i++) if (keys[at + i] !== key[i]) return false;
  return (wordOf(keys, at + words - 1) & ~markBit) >>> 0 === wordOf(key, words - 1);
}
