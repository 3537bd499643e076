/** Durations of many requests, in milliseconds. */
export interface Times {
  readonly done: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

export function timesOf(ms: readonly number[]): Times {
  const sorted = [...ms].sort((a, b) => a - b);
  const at = (share: number): number => {
    const value = sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN;
    return Math.round(value * 10) / 10;
  };
  return { done: ms.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}

/** What a promise resolves to, and after how many milliseconds. */
export async function timed<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly ms: number }> {
  const beganMs = performance.now();
  const result = await work();
  return { result, ms: performance.now() - beganMs };
}

/** Does the work for each item, so many at a time; results in the items' order. */
export async function inParallel<Item, T>(
  items: readonly Item[],
  width: number,
  work: (item: Item) => Promise<T>,
): Promise<readonly T[]> {
  const results: T[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i] as Item);
  };
  await Promise.all(Array.from({ length: width }, worker));
  return results;
}
