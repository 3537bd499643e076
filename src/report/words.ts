/* How figures, times and names read. */

/** 1,234,567. */
export function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** `1 line`, `2 lines`. */
export function plural(value: number, noun: string, many = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : many}`;
}

/** `First; second.` */
export function sentence(parts: readonly string[]): string {
  const text = parts.join('; ');
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}

/** The latest time that there is (ECMA-262). */
const maxMs = 8.64e15;

/** A time to the millisecond, as a filter takes it. */
export function exactText(ms: number): string {
  return new Date(Math.min(Math.max(ms, -maxMs), maxMs)).toISOString();
}

/** `2026-11-25 12:00:05`, UTC. */
export function timeText(ms: number): string {
  return Number.isFinite(ms)
    ? exactText(ms)
        .replace('T', ' ')
        .replace(/\.\d+Z$/, '')
    : 'no time';
}

/** The same of a time as it stands in a log. */
export function isoText(time: string): string {
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? time || 'no time' : timeText(ms);
}

const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const;

/** `3 d 4 h`: two units at most. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  const first = units.findIndex(([, unit]) => ms >= unit);
  const [[name, unit], next] = [units[first] ?? units[3], units[first + 1]];
  const whole = Math.floor(ms / unit);
  const rest = next === undefined ? 0 : Math.floor((ms - whole * unit) / next[1]);
  return rest === 0 || next === undefined ? `${whole} ${name}` : `${whole} ${name} ${rest} ${next[0]}`;
}

/** The beginning of a digest, which is enough to know it by. */
export function shortDigest(digest: string): string {
  return digest.slice(0, 10);
}
