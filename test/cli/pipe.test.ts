import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLog } from '../support/audit-log.ts';

/* Commands in a pipe, as real processes. */

const command = join(import.meta.dirname, '..', '..', 'bin', 'osmo-admission');
let directory: string;
let file: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pipe-'));
  file = join(directory, 'audit.log');
  const log = createLog();
  log.start();
  // More than a pipe holds.
  for (let i = 0; i < 2_000; i++) log.decide();
  writeFileSync(file, log.text());
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('a command whose reader has had enough', () => {
  it.each(['text', 'json', 'csv'])('ends quietly, as if by SIGPIPE: log query -o %s | head -n 1', (format) => {
    const script = '{ "$0" log query "$1" -o "$2"; echo "exit code $?" >&2; } | head -n 1';
    const { stdout, stderr } = spawnSync('sh', ['-c', script, command, file, format], { encoding: 'utf8' });
    expect(stdout.split('\n')).toHaveLength(2);
    expect(stderr).toBe('exit code 141\n');
  });

  it('that reads all of it, ends with its own exit code', () => {
    const script = '{ "$0" log query "$1"; echo "exit code $?" >&2; } | wc -l';
    const { stdout, stderr } = spawnSync('sh', ['-c', script, command, file], { encoding: 'utf8' });
    expect([stdout.trim(), stderr]).toEqual(['2000', 'exit code 0\n']);
  });
});
