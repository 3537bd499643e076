import type { Log } from '../config/watch-files.ts';

const intervalMs = 60_000;

export interface LimitedLogOptions {
  readonly log: Log;
  /** How many lines that are alike are written within a minute. */
  readonly most: number;
  /** Milliseconds of the Unix epoch. */
  readonly now: () => number;
}

/**
 * A log for what anybody who reaches the port can have written: lines beyond a number within a minute are left out, and the next one that is
 * alike says how many, as `notLogged`. Alike are lines of one message and one field `reason`. Metrics count all.
 */
export function limitLog({ log, most, now }: LimitedLogOptions): Log {
  const minutes = new Map<string, { readonly beganMs: number; lines: number; notLogged: number }>();
  return (level, message, fields = {}) => {
    const atMs = now();
    const key = `${message} ${String(fields.reason ?? '')}`;
    const last = minutes.get(key);
    // A clock that is set back must not keep the log silent.
    const isOver = last === undefined || atMs - last.beganMs >= intervalMs || atMs < last.beganMs;
    const minute = isOver ? { beganMs: atMs, lines: 0, notLogged: 0 } : last;
    minutes.set(key, minute);
    if (minute.lines >= most) {
      minute.notLogged += 1;
      return;
    }
    minute.lines += 1;
    const notLogged = isOver ? (last?.notLogged ?? 0) : 0;
    log(level, message, notLogged === 0 ? fields : { ...fields, notLogged });
  };
}
