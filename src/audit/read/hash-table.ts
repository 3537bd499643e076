/**
 * A set of SHA-256 hashes with a mark for each. Of each hash 127 bits are kept, which nobody makes meet, and a bit for the mark; with the room
 * that a hash table needs these are 19 bytes for each that was expected.
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
const maxLoad = 0.85;
const minCapacity = 1_024;
const growth = 1.25;

/** @param expected how many there will be: it grows where there are more, for which it needs room for both. */
export function createHashTable(expected = 0): HashTable {
  let keys = new Uint32Array(Math.ceil(Math.max(minCapacity, expected / maxLoad + 1)) * words);
  let size = 0;
  const key = new Uint32Array(words);

  const parse = (hash: string): void => {
    for (let i = 0; i < words; i++) key[i] = Number.parseInt(hash.slice(i * 8, i * 8 + 8), 16);
    key[words - 1] = wordOf(key, words - 1) & ~markBit;
  };

  /** Where the key is, or the free place for it. */
  const find = (): number => {
    let at = Math.floor((wordOf(key, 0) / 2 ** 32) * (keys.length / words)) * words;
    while (!isFree(keys, at) && !holds(keys, at, key)) at = at + words === keys.length ? 0 : at + words;
    return at;
  };

  const grow = (): void => {
    const old = keys;
    keys = new Uint32Array(Math.ceil((old.length / words) * growth) * words);
    for (let from = 0; from < old.length; from += words) {
      if (isFree(old, from)) continue;
      key.set(old.subarray(from, from + words));
      key[words - 1] = wordOf(key, words - 1) & ~markBit;
      keys.set(old.subarray(from, from + words), find());
    }
  };

  /** Where a hash is; -1 where it is not. */
  const placeOf = (hash: string): number => {
    parse(hash);
    const at = find();
    return isFree(keys, at) ? -1 : at;
  };

  return {
    add(hash) {
      if (size + 1 > (keys.length / words) * maxLoad) grow();
      if (placeOf(hash) !== -1) return false;
      keys.set(key, find());
      size += 1;
      return true;
    },
    has: (hash) => placeOf(hash) !== -1,
    mark(hash) {
      const at = placeOf(hash);
      if (at === -1) return false;
      keys[at + words - 1] = wordOf(keys, at + words - 1) | markBit;
      return true;
    },
    isMarked(hash) {
      const at = placeOf(hash);
      return at !== -1 && (wordOf(keys, at + words - 1) & markBit) !== 0;
    },
    get size() {
      return size;
    },
    get bytes() {
      return keys.byteLength;
    },
  };
}

function wordOf(keys: Uint32Array, at: number): number {
  return keys[at] ?? 0;
}

function isFree(keys: Uint32Array, at: number): boolean {
  for (let i = 0; i < words - 1; i++) if (keys[at + i] !== 0) return false;
  return wordOf(keys, at + words - 1) <= markBit;
}

function holds(keys: Uint32Array, at: number, key: Uint32Array): boolean {
  for (let i = 0; i < words - 1; i++) if (keys[at + i] !== key[i]) return false;
  return (wordOf(keys, at + words - 1) & ~markBit) >>> 0 === wordOf(key, words - 1);
}
