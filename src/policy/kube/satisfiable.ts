import { maxInt64, parseInt64 } from './integer.ts';
import { isParsable, type Requirement } from './node-selector.ts';

/** Up to this many requirements, looking for equal keys by comparing them is cheaper than a Map. */
const maxCompared = 16;

/** Up to this many values, comparing them is cheaper than a Set. */
const maxListed = 8;

/** A label value has at most 63 characters, so an integer of d digits is written in 64 - d ways, with leading zeros. */
const maxValueLength = 63n;

/** Spellings of the longest int64, of 19 digits: fewer excluded values than this exclude no integer. */
const leastSpellings = 45;

/**
 * True if the labels of some node could meet all the requirements at once, which must include the pairs of a nodeSelector as In.
 * Exact: keys are independent of each other, and each is decided over absence and every value that a label can have
 * (kubernetes.io/docs/concepts/overview/working-with-objects/labels). Linear in the number of values.
 */
export function satisfiable(requirements: readonly Requirement[]): boolean {
  if (requirements.length > maxCompared) {
    return Map.groupBy(requirements, ({ key }) => key)
      .values()
      .every(isKeySatisfiable);
  }
  return requirements.every(({ key }, index) => {
    if (requirements.findIndex((other) => other.key === key) !== index) return true;
    return isKeySatisfiable(requirements.filter((other) => other.key === key));
  });
}

/** Requirements of one key. */
function isKeySatisfiable(requirements: readonly Requirement[]): boolean {
  let absent = false;
  let present = false;
  const listed: (readonly string[])[] = [];
  const excluded: (readonly string[])[] = [];
  for (const requirement of requirements) {
    if (!isParsable(requirement)) return false;
    const { operator, values } = requirement;
    if (operator === 'NotIn') excluded.push(values);
    else if (operator === 'DoesNotExist') absent = true;
    else present = true;
    if (operator === 'In') listed.push(values);
  }
  // Only NotIn and DoesNotExist accept a node without the label.
  if (!present) return true;
  if (absent) return false;
  const range = rangeOf(requirements);
  if (range !== undefined && range.low > range.high) return false;
  if (listed.length === 0) return range === undefined || hasSpelling(range, excluded.flat());
  const isExcluded = membership(excluded);
  return common(listed).some((value) => !isExcluded(value) && (range === undefined || isWithin(range, value)));
}

/** Integers that Gt and Lt leave, both ends included. */
interface Range {
  readonly low: bigint;
  readonly high: bigint;
}

/** Undefined without Gt and Lt. Label values have no sign, so integers start at 0. */
function rangeOf(requirements: readonly Requirement[]): Range | undefined {
  let range: Range | undefined;
  for (const { operator, values } of requirements) {
    if (operator !== 'Gt' && operator !== 'Lt') continue;
    const limit = parseInt64(values[0] ?? '') ?? 0n;
    const { low, high }: Range = range ?? { low: 0n, high: maxInt64 };
    if (operator === 'Gt') range = { low: limit + 1n > low ? limit + 1n : low, high };
    else range = { low, high: limit - 1n < high ? limit - 1n : high };
  }
  return range;
}

function isWithin({ low, high }: Range, value: string): boolean {
  const integer = parseInt64(value);
  return integer !== undefined && integer >= low && integer <= high;
}

/** True if some spelling of some integer of the range is not excluded: there are more of them than excluded ones. */
function hasSpelling(range: Range, excluded: readonly string[]): boolean {
  if (excluded.length < leastSpellings) return true;
  const taken = new Set(excluded.filter((value) => isWithin(range, value)));
  return BigInt(taken.size) < spellings(range);
}

function spellings({ low, high }: Range): bigint {
  let count = 0n;
  let first = 0n;
  for (let digits = 1n; first <= high; digits += 1n) {
    const next = 10n ** digits;
    const from = low > first ? low : first;
    const to = high < next ? high : next - 1n;
    if (from <= to) count += (to - from + 1n) * (maxValueLength + 1n - digits);
    first = next;
  }
  return count;
}

/** Values that all the lists have. Starts from the shortest, so that no list costs more than its own length. */
function common(lists: readonly (readonly string[])[]): readonly string[] {
  let shortest = lists[0] ?? [];
  for (const list of lists) if (list.length < shortest.length) shortest = list;
  let values = shortest;
  for (const list of lists) if (list !== shortest) values = values.filter(membership([list]));
  return values;
}

/** Whether a value is in any of the lists. */
function membership(lists: readonly (readonly string[])[]): (value: string) => boolean {
  const [only] = lists;
  if (only === undefined) return () => false;
  if (lists.length === 1 && only.length <= maxListed) return (value) => only.includes(value);
  const set = new Set(lists.flat());
  return (value) => set.has(value);
}
