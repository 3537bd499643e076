const units: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  // Both the micro sign and the Greek letter, as in Go.
  '\u00b5s': 1e-3,
  '\u03bcs': 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** Longer than any duration that a person or the API server writes. */
const maxLength = 64;

/**
 * A duration as Go's time.ParseDuration reads it (`10s`, `1m30s`, `1.5s`, `500ms`), in milliseconds; undefined for what it
 * refuses. A negative duration is refused too: nothing here runs backwards.
 */
export function parseGoDuration(text: string): number | undefined {
  if (text === '0') return 0;
  // The length first: the pattern must not be tried on a text of any size that a client sends.
  if (text.length > maxLength || !/^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|[uµμ]s|ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, number = '', unit = ''] of text.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|[uµμ]s|ms|s|m|h)/g)) {
    total += Number(number) * (units[unit] ?? 0);
  }
  return total;
}
