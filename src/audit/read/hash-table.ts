/**
 * A set of SHA-256 hashes with a mark for each, in flat arrays: half of each hash is kept (128 bits, which nobody makes meet), at 17 to 34 bytes
 * an entry, so that a million of them stay small.
 */
export interface HashTable {
  /** @returns false where it is there already. */
  add(hash: string): boolean;
  has(hash: string): boolean;
  /** Marks an entry. @returns false where it is not there. */
  mark(hash: string): boolean;
  isMarked(hash: string): boolean;
  readonly size: number;
}

const words = 4;
const minCapacity = 1024;
const [free, taken, marked] = [0, 1, 2] as const;

export function createHashTable(): HashTable {
  let capacity = minCapacity;
  let keys = new Uint32Array(capacity * words);
  let states = new Uint8Array(capacity);
  let size = 0;
  const key = new Uint32Array(words);

  const parse = (hash: string): void => {
    for (let i = 0; i < words; i++) key[i] = Number.parseInt(hash.slice(i * 8, i * 8 + 8), 16);
  };

  /** Where the key is, or the free place for it. */
  const find = (): number => {
    const mask = capacity - 1;
    for (let slot = (key[0] ?? 0) & mask; ; slot = (slot + 1) & mask) {
      if (states[slot] === free || holdsKey(slot)) return slot;
    }
  };

  const holdsKey = (slot: number): boolean => {
    for (let i = 0; i < words; i++) if (keys[slot * words + i] !== key[i]) return false;
    return true;
  };

  const grow = (): void => {
    const [oldKeys, oldStates, oldCapacity] = [keys, states, capacity];
    capacity *= 2;
    keys = new Uint32Array(capacity * words);
    states = new Uint8Array(capacity);
    for (let slot = 0; slot < oldCapacity; slot++) {
      const state = oldStates[slot] ?? free;
      if (state === free) continue;
      key.set(oldKeys.subarray(slot * words, (slot + 1) * words));
      const at = find();
      keys.set(key, at * words);
      states[at] = state;
    }
  };

  const stateOf = (hash: string): number => {
    parse(hash);
    return states[find()] ?? free;
  };

  return {
    add(hash) {
      if (size * 2 >= capacity) grow();
      parse(hash);
      const slot = find();
      if (states[slot] !== free) return false;
      keys.set(key, slot * words);
      states[slot] = taken;
      size += 1;
      return true;
    },
    has: (hash) => stateOf(hash) !== free,
    mark(hash) {
      parse(hash);
      const slot = find();
      if (states[slot] === free) return false;
      states[slot] = marked;
      return true;
    },
    isMarked: (hash) => stateOf(hash) === marked,
    get size() {
      return size;
    },
  };
}
