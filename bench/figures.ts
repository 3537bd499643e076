/* How rounds become figures. */

export function median(list: readonly number[]): number {
  return [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? Number.NaN;
}

/** `1.25 (1.03 to 1.40)`: median, least and most. */
export function spread(list: readonly number[], digits: number): string {
  return `${median(list).toFixed(digits)} (${Math.min(...list).toFixed(digits)} to ${Math.max(...list).toFixed(digits)})`;
}
