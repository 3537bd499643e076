import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { apiEventOf } from '../support/api-event.ts';
import { createLog, newSigningKey } from '../support/audit-log.ts';

/*
 * Commands that read a log which is larger than all the memory that they may have: what kept its lines would not end. `npm run bench:log` says
 * what they take for a million records.
 */

const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
const records = 40_000;
/** Of V8, for everything that lives longer than a moment. */
const heapMiB = 18;

let directory: string;
let log: string;
let api: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'log-memory-'));
  [log, api] = [join(directory, 'audit.log'), join(directory, 'api.log')];
  const [ours, theirs] = [openSync(log, 'w'), openSync(api, 'w')];
  const writer = createLog({ key: newSigningKey(), keep: (line) => void writeSync(ours, `${line}\n`) });
  writer.start();
  for (let i = 0; i < records; i++) {
    const line = writer.decide({ requestUID: `${i}`, user: { username: `user-${i}`, groups: [] } });
    writeSync(theirs, `${JSON.stringify(apiEventOf(line))}\n`);
    if (i % 1_000 === 999) writer.checkpoint();
  }
  writer.stop();
  closeSync(ours);
  closeSync(theirs);
}, 60_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('a log that is larger than the memory', () => {
  it.each([
    ['verify', [], 'no break'],
    ['query', ['--name', 'a-name', '--user', 'user-3999*'], 'by user-39999'],
    ['summary', [], '40,000  validate allow'],
    ['reconcile', ['--api-audit'], 'the logs agree'],
  ] as const)(
    'is read by log %s',
    (name, args, expected) => {
      expect(statSync(log).size).toBeGreaterThan(1.5 * heapMiB * 1024 * 1024);
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        [
          `--max-old-space-size=${heapMiB}`,
          ...[main, 'log', name, log, ...args, ...(name === 'reconcile' ? [api] : [])],
        ],
        { encoding: 'utf8' },
      );
      expect(stderr.slice(0, 500)).toBe('');
      expect(status).toBe(0);
      expect(stdout).toContain(expected);
    },
    60_000,
  );
});
