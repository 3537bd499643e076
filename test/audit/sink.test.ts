import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLineSink, openAuditFile } from '../../src/audit/sink.ts';
import type { AuditRecord } from '../../src/policy/model/record.ts';

const record = (name: string): AuditRecord => ({
  kind: 'AdmissionRecord',
  time: '2026-11-25T12:00:00.000Z',
  phase: 'validate',
  requestUID: name,
  callerVerified: false,
  user: { username: '', groups: [] },
  verb: 'create',
  objectRef: { apiGroup: '', apiVersion: 'v1', resource: 'pods', subresource: '', namespace: '', name },
  dryRun: false,
  decision: 'allow',
  rules: [],
  findings: [],
  warnings: [],
  patch: [],
  exemptions: [],
  policyDigest: '',
  nodes: { state: 'offline', resourceVersion: '', ageSeconds: null },
  durationSeconds: 0,
});

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'audit-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('the audit file', () => {
  it('holds one line a record, in order, readable by its owner only', async () => {
    const path = join(directory, 'audit.log');
    const file = openAuditFile(path);
    const sink = createLineSink({ write: file.write, onLost: () => undefined, lingerMs: 1 });
    const hashes: string[] = [];
    for (let i = 0; i < 500; i++) {
      hashes.push(sink.write(record(`r${i}`)));
      if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await sink.close();
    file.close();
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).requestUID)).toEqual(Array.from({ length: 500 }, (_, i) => `r${i}`));
    expect(lines.map((line) => createHash('sha256').update(line).digest('hex'))).toEqual(hashes);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('is appended to', async () => {
    const path = join(directory, 'audit.log');
    writeFileSync(path, 'before\n');
    const file = openAuditFile(path);
    const sink = createLineSink({ write: file.write, onLost: () => undefined, lingerMs: 1 });
    sink.write(record('r'));
    await sink.close();
    file.close();
    expect(readFileSync(path, 'utf8')).toMatch(/^before\n\{.*\}\n$/);
  });

  it('that cannot be opened says so', () => {
    expect(() => openAuditFile(join(directory, 'no', 'audit.log'))).toThrow(/ENOENT/);
  });
});

describe('the line sink', () => {
  it('has one write under way at a time, which takes all that has gathered', async () => {
    const chunks: string[] = [];
    const pending: (() => void)[] = [];
    const sink = createLineSink({
      write: (chunk, done) => {
        chunks.push(chunk);
        pending.push(() => done(null));
      },
      onLost: () => undefined,
      lingerMs: 0,
    });
    sink.write(record('a'));
    await new Promise((resolve) => setImmediate(resolve));
    for (const name of ['b', 'c', 'd']) sink.write(record(name));
    await new Promise((resolve) => setImmediate(resolve));
    expect(chunks).toHaveLength(1);
    pending.shift()?.();
    expect(chunks).toHaveLength(2);
    expect(chunks[1]?.trimEnd().split('\n')).toHaveLength(3);
    pending.shift()?.();
    await sink.close();
  });

  it('reports every record that a failing write loses, and goes on', async () => {
    const lost: [number, string][] = [];
    let fail = true;
    const written: string[] = [];
    const sink = createLineSink({
      write: (chunk, done) => {
        if (fail) return done(new Error('no space left on device'));
        written.push(chunk);
        done(null);
      },
      onLost: (records, why) => void lost.push([records, why]),
      lingerMs: 0,
    });
    sink.write(record('a'));
    sink.write(record('b'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(lost).toEqual([[2, 'no space left on device']]);
    fail = false;
    sink.write(record('c'));
    await sink.close();
    expect(written.join('')).toContain('"requestUID":"c"');
  });

  it('never holds more than its bound for a write that does not end', async () => {
    const lost: number[] = [];
    const sink = createLineSink({
      write: () => undefined,
      onLost: (records) => void lost.push(records),
      maxPending: 2_000,
      lingerMs: 0,
    });
    sink.write(record('first'));
    await new Promise((resolve) => setImmediate(resolve));
    for (let i = 0; i < 100; i++) sink.write(record(`r${i}`));
    expect(lost.length).toBeGreaterThan(90);
  });

  it('loses what comes after close, and says so', async () => {
    const lost: string[] = [];
    const sink = createLineSink({
      write: (_chunk, done) => done(null),
      onLost: (_records, why) => void lost.push(why),
    });
    await sink.close();
    sink.write(record('late'));
    expect(lost).toEqual(['the sink is closed']);
  });
});
