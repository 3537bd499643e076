import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fileOperations } from '../../src/audit/file-operations.ts';
import { noHash } from '../../src/audit/line.ts';
import { createAuditNotes } from '../../src/audit/notes.ts';
import { auditLineSchema } from '../../src/audit/schema.ts';
import { isSignedBy, parseSigningKey } from '../../src/audit/signing.ts';
import type { Output, WrittenLines } from '../../src/audit/sinks/queue.ts';
import { compileDefaults, createPolicyParser } from '../../src/config/parse.ts';
import { printPolicy } from '../../src/config/print-policy.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { verifyText } from '../support/audit-log.ts';
import { record } from '../support/record.ts';
import { breaksOf, type Chained, openFile, parseLines, sha256, startLog, tornTailOf, watched } from './support.ts';

const deadlineMs = 60_000;
const stopMs = 60_000;
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const key = parseSigningKey(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 'key.pem');
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A sink in memory, that can be made to fail or to stand still. */
function memory() {
  const state = { text: '', error: '', stuck: false };
  const held: (() => void)[] = [];
  const output: Output = {
    async write(text): Promise<WrittenLines> {
      if (state.stuck) await new Promise<void>((resolve) => held.push(resolve));
      if (state.error !== '') return { lines: 0, error: state.error };
      state.text += text;
      return {};
    },
    close: () => Promise.resolve(),
  };
  const release = (): void => {
    state.stuck = false;
    for (const go of held.splice(0)) go();
  };
  return { state, output, release, lines: (): readonly Chained[] => parseLines(state.text) };
}

const kindsOf = (lines: readonly Chained[]): readonly string[] => lines.map(({ kind }) => kind);

describe('a boot', () => {
  it('is LogStart, its records and LogStop with their number, in one chain', async () => {
    const { output, state, lines } = memory();
    const log = startLog({ sinks: [{ name: 'stdout', output }] });
    const hashes = ['a', 'b'].map((requestUID) => log.write(record({ requestUID }), deadlineMs).hash);
    expect(await log.stop('SIGTERM', stopMs)).toBe(true);
    expect(kindsOf(lines())).toEqual(['LogStart', 'AdmissionRecord', 'AdmissionRecord', 'LogStop']);
    expect(breaksOf(state.text)).toEqual([]);
    expect(state.text.split('\n').slice(1, 3).map(sha256)).toEqual(hashes);
    expect(lines()[0]).toMatchObject({
      ...{ sequence: 1, previous: noHash, previousBoot: null, tornTail: null, publicKey: '', version: '1.2.3' },
      settings: { fsync: 'none', onError: 'continue', callerVerification: 'off', sinks: ['stdout'] },
    });
    expect(lines()[3]).toMatchObject({ signal: 'SIGTERM', records: 2 });
  });

  it('answers at once: nobody waits for a record', () => {
    const { output } = memory();
    const log = startLog({ sinks: [{ name: 'stdout', output }] });
    expect(log.write(record({}), deadlineMs).until).toBeUndefined();
  });

  it('signs every so many lines, and last of all', async () => {
    const { output, state, lines } = memory();
    const log = startLog({ sinks: [{ name: 'stdout', output }], key, checkpointRecords: 3 });
    for (let i = 0; i < 5; i++) log.write(record({}), deadlineMs);
    await log.stop('SIGTERM', stopMs);
    const [a, l] = ['AdmissionRecord', 'Checkpoint'];
    expect(kindsOf(lines())).toEqual(['LogStart', a, a, l, a, a, a, l, 'LogStop', l]);
    expect(breaksOf(state.text)).toEqual([]);
    for (const line of lines().filter(({ kind }) => kind === 'Checkpoint')) {
      expect(isSignedBy(publicKey, line)).toBe(true);
      expect(line.records).toBe(line.sequence - 1);
    }
    expect(lines()[0]).toMatchObject({ publicKey: key.publicKey, keyId: key.keyId });
  });

  it('signs after a while too, but only what is new', async () => {
    const { output, lines } = memory();
    const log = startLog({ sinks: [{ name: 'stdout', output }], key, checkpointIntervalMs: 5 });
    while (!kindsOf(lines()).includes('Checkpoint')) await new Promise((resolve) => setTimeout(resolve, 5));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(kindsOf(lines())).toEqual(['LogStart', 'Checkpoint']);
    await log.stop('SIGTERM', stopMs);
  });
});

describe('lines of every kind', () => {
  const validate = new Ajv2020({ strict: false, allErrors: true }).compile(auditLineSchema);

  it('follow their schema, and no other line does', async () => {
    const { output, state, lines } = memory();
    const log = startLog({ sinks: [{ name: 'stdout', output }], key });
    const policy = compileDefaults({ rules });
    const notes = createAuditNotes(log, { now: Date.now, print: printPolicy });
    notes.policy(policy, '');
    notes.policy(policy, 'policy.yaml:3:9: preset is "bogus"');
    notes.certificate({ fingerprint: 'f'.repeat(64), expiresAt: 1_800_000_000 }, '');
    notes.certificate({ fingerprint: 'f'.repeat(64), expiresAt: 1_800_000_000 }, 'tls.crt: cannot be read');
    notes.configuration([{ where: 'w', message: 'm' }]);
    log.write(record({}), deadlineMs);
    state.error = 'ENOSPC';
    await turn();
    log.write(record({}), deadlineMs);
    await turn();
    state.error = '';
    log.write(record({}), deadlineMs);
    await log.stop('SIGTERM', stopMs);
    // The first ones were lost.
    const again = memory();
    const other = startLog({ sinks: [{ name: 'stdout', output: again.output }], key });
    const more = createAuditNotes(other, { now: Date.now, print: printPolicy });
    more.policy(policy, '');
    more.policy(policy, 'x');
    more.certificate({ fingerprint: 'f'.repeat(64), expiresAt: 1_800_000_000 }, '');
    more.configuration([]);
    other.note({ kind: 'FileRecord', time: '2026-11-25T12:00:00.000Z', from: 'a.log', to: 'a.1.log', why: 'w' });
    await other.stop('SIGTERM', stopMs);
    const all = [...lines(), ...again.lines()];
    expect(new Set(kindsOf(all))).toEqual(
      new Set([
        ...['LogStart', 'PolicyRecord', 'CertificateRecord', 'ConfigurationRecord', 'AdmissionRecord', 'GapRecord'],
        ...['LogStop', 'Checkpoint', 'FileRecord'],
      ]),
    );
    for (const line of all) {
      expect(validate(line), `${line.kind} ${JSON.stringify(validate.errors)}`).toBe(true);
      expect(validate({ ...line, more: 1 })).toBe(false);
      for (const member of ['kind', 'previous', 'sequence', 'boot']) {
        expect([member, validate({ ...line, [member]: undefined })]).toEqual([member, false]);
      }
    }
  });
});

describe('notes', () => {
  const policy = compileDefaults({ rules });
  const noted = (): {
    readonly notes: ReturnType<typeof createAuditNotes>;
    readonly end: () => Promise<readonly Chained[]>;
  } => {
    const { output, lines } = memory();
    const log = startLog({ sinks: [{ name: 'stdout', output }] });
    return {
      notes: createAuditNotes(log, { now: Date.now, print: printPolicy }),
      end: async () => {
        await log.stop('SIGTERM', stopMs);
        return lines().slice(1, -1);
      },
    };
  };

  it('hold the whole policy once per digest, which it has itself', async () => {
    const { notes, end } = noted();
    const other = { ...policy, digest: 'd'.repeat(64) };
    for (const inForce of [policy, policy, other, policy]) notes.policy(inForce, '');
    const lines = await end();
    expect(lines.map(({ digest, policyText }) => [digest, policyText !== undefined])).toEqual([
      [policy.digest, true],
      [other.digest, true],
      [policy.digest, false],
    ]);
    expect(createPolicyParser({ rules })(String(lines[0]?.policyText), 'log').digest).toBe(policy.digest);
  });

  it('hold each refusal, with the digest that stays in force, and the return to a good file', async () => {
    const { notes, end } = noted();
    notes.policy(policy, '');
    notes.policy(policy, 'line one\nline two');
    notes.policy(policy, 'line one\nline two');
    notes.policy(policy, '');
    const lines = await end();
    expect(lines.map(({ outcome, digest, error }) => [outcome, digest, error])).toEqual([
      ['loaded', policy.digest, undefined],
      ['refused', policy.digest, 'line one\nline two'],
      ['loaded', policy.digest, undefined],
    ]);
  });

  it('hold gaps whenever they change, bounded, also to none', async () => {
    const { notes, end } = noted();
    const gap = (i: number) => ({ where: `w${i}`, message: 'm'.repeat(10_000) });
    for (const gaps of [[], [], [gap(1)], [gap(1)], [], Array.from({ length: 200 }, (_, i) => gap(i))]) {
      notes.configuration(gaps);
    }
    const lines = await end();
    expect(lines.map(({ gaps }) => (Array.isArray(gaps) ? gaps.length : -1))).toEqual([0, 1, 0, 101]);
    expect(JSON.stringify(lines[1]).length).toBeLessThan(3_000);
  });

  it('bound the text of a refusal', async () => {
    const { notes, end } = noted();
    notes.policy(policy, Array.from({ length: 1_000 }, () => 'x'.repeat(10_000)).join('\n'));
    expect(JSON.stringify(await end()).length).toBeLessThan(10_000);
  });
});

describe('a sink that fails', () => {
  it('under continue: answers go out, lost lines are counted, and a gap record tells exactly which once it works again', async () => {
    const { output, state, lines } = memory();
    const lost: number[] = [];
    const told: number[] = [];
    const log = startLog({
      sinks: [{ name: 'file', output }],
      onLost: (_sink, count) => void lost.push(count),
      onWorking: (_sink, count) => void told.push(count),
    });
    await turn();
    state.error = 'ENOSPC';
    for (let i = 0; i < 3; i++) expect(log.write(record({}), deadlineMs).until).toBeUndefined();
    await turn();
    await turn();
    expect([lost, log.failing()]).toEqual([[3], true]);
    state.error = '';
    log.write(record({ requestUID: 'after' }), deadlineMs);
    await turn();
    await turn();
    await log.stop('SIGTERM', stopMs);
    expect(lines().map(({ kind, sequence }) => [kind, sequence])).toEqual([
      ['LogStart', 1],
      ['AdmissionRecord', 5],
      ['GapRecord', 6],
      ['LogStop', 7],
    ]);
    expect(lines()[2]).toMatchObject({ sink: 'file', lost: 3, firstSequence: 2, lastSequence: 4, why: 'ENOSPC' });
    // The line that names its hash as the one before is lost.
    expect(lines()[2]?.before).toBe(sha256(state.text.split('\n')[0] ?? ''));
    const foundIn = (text: string) => verifyText(text).found;
    expect(foundIn(state.text)).toBeUndefined();
    const changed = foundIn(state.text.replace('"version":"1.2.3"', '"version":"1.2.4"'));
    expect(changed).toMatchObject({ kind: 'changed', sequence: 1, place: { line: 1 } });
    expect(changed?.message).toContain('the record of the lines lost after it, audit.log:3, names another hash');
    expect(told).toEqual([3]);
    expect(log.failing()).toBe(false);
  });

  it('leaves the other sink whole: the chain goes on over what one has lost', async () => {
    const [good, bad] = [memory(), memory()];
    const log = startLog({
      sinks: [
        { name: 'stdout', output: good.output },
        { name: 'file', output: bad.output },
      ],
    });
    await turn();
    bad.state.error = 'EIO';
    log.write(record({}), deadlineMs);
    await turn();
    bad.state.error = '';
    log.write(record({}), deadlineMs);
    await turn();
    await log.stop('SIGTERM', stopMs);
    expect(breaksOf(good.state.text)).toEqual([]);
    expect(bad.lines().map(({ sequence }) => sequence)).toEqual([1, 3, 4, 5]);
    // The line after the hole names the line in it, which the other sink has.
    const hole = good.state.text.split('\n')[1] ?? '';
    expect(bad.lines()[1]?.previous).toBe(sha256(hole));
  });

  it('to the end: the last lines are tried, and the end is not held up', async () => {
    const { output, state } = memory();
    const lost: number[] = [];
    const log = startLog({ sinks: [{ name: 'file', output }], key, onLost: (_sink, count) => void lost.push(count) });
    await turn();
    state.error = 'EROFS';
    log.write(record({}), deadlineMs);
    await log.stop('SIGTERM', stopMs);
    expect(lost.reduce((sum, count) => sum + count, 0)).toBe(4);
  });

  it('and stands still to the end: the other one has its last lines, and the end comes when its time is up', async () => {
    const [stuck, good] = [memory(), memory()];
    const lost: [string, number][] = [];
    const log = startLog({
      sinks: [
        { name: 'file', output: stuck.output },
        { name: 'stdout', output: good.output },
      ],
      onLost: (sink, count) => void lost.push([sink, count]),
    });
    await turn();
    stuck.state.stuck = true;
    log.write(record({}), deadlineMs);
    await turn();
    log.write(record({}), deadlineMs);
    expect(await log.stop('SIGTERM', 20)).toBe(false);
    // Two records and the LogStop.
    expect(lost).toEqual([['file', 3]]);
    expect(kindsOf(good.lines())).toEqual(['LogStart', 'AdmissionRecord', 'AdmissionRecord', 'LogStop']);
  });

  it('under deny: an answer waits for its line in every sink, and learns why it is not there', async () => {
    const [file, stdout] = [memory(), memory()];
    const log = startLog({
      sinks: [
        { name: 'stdout', output: stdout.output },
        { name: 'file', output: file.output },
      ],
      onError: 'deny',
    });
    expect(await log.write(record({}), deadlineMs).until).toBeUndefined();
    file.state.error = 'ENOSPC';
    expect(await log.write(record({}), deadlineMs).until).toBe('ENOSPC');
    file.state.error = '';
    expect(await log.write(record({}), deadlineMs).until).toBeUndefined();
    stdout.state.error = 'EPIPE';
    expect(await log.write(record({}), deadlineMs).until).toBe('EPIPE');
    stdout.state.error = '';
    await log.stop('SIGTERM', stopMs);
  });

  it('under deny and stuck: an answer waits no longer than its deadline', async () => {
    const { output, state, release } = memory();
    const log = startLog({ sinks: [{ name: 'file', output }], onError: 'deny' });
    await turn();
    state.stuck = true;
    expect(await log.write(record({}), 5).until).toBe('it was not written in time');
    expect(await log.write(record({}), -1).until).toBe('it was not written in time');
    release();
    expect(await log.write(record({}), deadlineMs).until).toBeUndefined();
    await log.stop('SIGTERM', stopMs);
  });

  it('under continue and stuck: no answer waits beyond its deadline, and then none until the sink has answered', async () => {
    const { output, state, release } = memory();
    const log = startLog({ sinks: [{ name: 'file', output }], fsync: 'always' });
    await turn();
    state.stuck = true;
    expect(await log.write(record({}), 5).until).toBeUndefined();
    expect(await log.write(record({}), deadlineMs).until).toBeUndefined();
    release();
    await turn();
    state.stuck = true;
    let answered = false;
    const { until } = log.write(record({}), deadlineMs);
    void until?.then(() => {
      answered = true;
    });
    await turn();
    expect(answered).toBe(false);
    release();
    await until;
    await log.stop('SIGTERM', stopMs);
  });

  it('and is slow holds no more lines than the bound, whatever comes', async () => {
    const { output, state, release, lines } = memory();
    let lost = 0;
    const log = startLog({
      ...{ sinks: [{ name: 'file', output }], maxPending: 20_000 },
      onLost: (_sink, count) => {
        lost += count;
      },
    });
    await turn();
    state.stuck = true;
    for (let i = 0; i < 1_000; i++) log.write(record({}), deadlineMs);
    expect(lost).toBeGreaterThan(900);
    release();
    await log.stop('SIGTERM', stopMs);
    const gap = lines().find(({ kind }) => kind === 'GapRecord');
    expect(gap).toMatchObject({ lost, lastSequence: 1_001 });
    expect(lines().length).toBe(1_000 - lost + 3);
  });
});

describe('with a file', () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'audit-'));
    path = join(directory, 'audit.log');
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));
  const content = (): string => readFileSync(path, 'utf8');

  it('under fsync always an answer goes out after write and fsync, in that order', async () => {
    const calls: string[] = [];
    const output = await openFile(path, { operations: watched(calls), fsync: 'always' });
    const log = startLog({ sinks: [{ name: 'file', output }], fsync: 'always' });
    await log.write(record({}), deadlineMs).until;
    calls.length = 0;
    await log.write(record({}), deadlineMs).until?.then(() => calls.push('answer'));
    expect(calls).toEqual(['stat', 'identityOf', 'write', 'sync', 'answer']);
    await log.stop('SIGTERM', stopMs);
  });

  it('under fsync always, answers of one time share a write and an fsync', async () => {
    const calls: string[] = [];
    const output = await openFile(path, { operations: watched(calls), fsync: 'always' });
    const log = startLog({ sinks: [{ name: 'file', output }], fsync: 'always' });
    calls.length = 0;
    await Promise.all(Array.from({ length: 50 }, () => log.write(record({}), deadlineMs).until));
    expect(calls.length).toBeLessThan(10);
    await log.stop('SIGTERM', stopMs);
  });

  it('a boot is linked to the last line of the one before, which LogStart names', async () => {
    for (const boot of ['a', 'b']) {
      const output = await openFile(path);
      const log = startLog({ sinks: [{ name: 'file', output }], boot: boot.repeat(32), found: output.found });
      log.write(record({}), deadlineMs);
      await log.stop('SIGTERM', stopMs);
    }
    const lines = parseLines(content());
    expect(breaksOf(content())).toEqual([]);
    expect(lines[3]).toMatchObject({
      kind: 'LogStart',
      previousBoot: { boot: 'a'.repeat(32), sequence: 3, hash: lines[3]?.previous },
    });
  });

  it('a boot after a torn line is linked to the line before it, and LogStart tells', async () => {
    writeFileSync(path, 'of an older version\n{"kind":"Admiss');
    const output = await openFile(path);
    const log = startLog({ sinks: [{ name: 'file', output }], found: output.found });
    await log.stop('SIGTERM', stopMs);
    const [, start] = content().trimEnd().split('\n');
    const line = parseLines(`${start}\n`)[0];
    expect(line).toMatchObject({ previous: sha256('of an older version'), previousBoot: null });
    expect(tornTailOf(line)).toMatchObject({ bytes: 15 });
    expect(readFileSync(tornTailOf(line)?.keptAs ?? '', 'utf8')).toBe('{"kind":"Admiss');
  });

  it('the chain goes on over rotated files', async () => {
    const output = await openFile(path, { maxBytes: 3_000 });
    const log = startLog({ sinks: [{ name: 'file', output }], found: output.found, onError: 'deny' });
    // One at a time: what waits is written, and so rotated, together.
    for (let i = 0; i < 20; i++) await log.write(record({ requestUID: `r${i}` }), deadlineMs).until;
    await log.stop('SIGTERM', stopMs);
    const names = [...(await fileOperations.list(directory))].sort();
    expect(names.length).toBeGreaterThan(3);
    const all = [...names.filter((name) => name !== 'audit.log'), 'audit.log']
      .map((name) => readFileSync(join(directory, name), 'utf8'))
      .join('');
    expect(breaksOf(all)).toEqual([]);
    expect(parseLines(all)).toHaveLength(22);
  });

  it('lines that a full disk does not take are a gap, and the file is a chain around it', async () => {
    let full = false;
    const operations = watched([], (real) => ({
      write: (fd, bytes) =>
        full ? Promise.reject(new Error('ENOSPC')) : real.write(fd, bytes.subarray(0, Math.ceil(bytes.length / 2))),
    }));
    const output = await openFile(path, { operations });
    const log = startLog({ sinks: [{ name: 'file', output }], onError: 'deny' });
    await log.write(record({}), deadlineMs).until;
    full = true;
    for (let i = 0; i < 2; i++) expect(await log.write(record({}), deadlineMs).until).toBe('ENOSPC');
    full = false;
    expect(await log.write(record({}), deadlineMs).until).toBeUndefined();
    await log.stop('SIGTERM', stopMs);
    const lines = parseLines(content());
    expect(lines.map(({ sequence }) => sequence)).toEqual([1, 2, 5, 6, 7]);
    expect(lines[3]).toMatchObject({ kind: 'GapRecord', lost: 2, firstSequence: 3, lastSequence: 4 });
  });
});
