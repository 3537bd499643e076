import { describe, expect, it } from 'vitest';
import type { Log } from '../../src/config/watch-files.ts';
import { limitLog } from '../../src/server/limited-log.ts';

describe('a log that is limited', () => {
  const start = (most: number): { log: Log; lines: unknown[]; pass(ms: number): void } => {
    const lines: unknown[] = [];
    let nowMs = 0;
    const log = limitLog({
      log: (level, message, fields) => void lines.push({ level, message, ...fields }),
      most,
      now: () => nowMs,
    });
    const pass = (ms: number): void => {
      nowMs += ms;
    };
    return { log, lines, pass };
  };

  it('writes so many lines that are alike within a minute, and says later how many it left out', () => {
    const { log, lines, pass } = start(2);
    for (let n = 0; n < 5; n++) log('warn', 'refused', { n });
    expect(lines).toEqual([
      { level: 'warn', message: 'refused', n: 0 },
      { level: 'warn', message: 'refused', n: 1 },
    ]);
    pass(59_999);
    log('warn', 'refused', { n: 5 });
    expect(lines).toHaveLength(2);
    pass(1);
    log('warn', 'refused', { n: 6 });
    log('warn', 'refused', { n: 7 });
    expect(lines.slice(2)).toEqual([
      { level: 'warn', message: 'refused', n: 6, notLogged: 4 },
      { level: 'warn', message: 'refused', n: 7 },
    ]);
    pass(60_000);
    log('warn', 'refused');
    expect(lines.at(-1)).toEqual({ level: 'warn', message: 'refused' });
  });

  it('counts messages and reasons each for themselves', () => {
    const { log, lines } = start(1);
    for (const reason of ['none', 'name', 'none']) log('warn', 'a caller', { reason });
    log('error', 'another');
    log('error', 'another');
    expect(lines).toEqual([
      { level: 'warn', message: 'a caller', reason: 'none' },
      { level: 'warn', message: 'a caller', reason: 'name' },
      { level: 'error', message: 'another' },
    ]);
  });
});
