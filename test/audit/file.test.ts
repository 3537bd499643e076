import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FileOperations } from '../../src/audit/file-operations.ts';
import { openFile, watched } from './support.ts';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'audit-'));
  path = join(directory, 'audit.log');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const content = (): string => readFileSync(path, 'utf8');
const others = (): readonly string[] => readdirSync(directory).filter((name) => name !== 'audit.log');
const fail = (code: string): Promise<never> => Promise.reject(new Error(`${code}: injected`));

/** A disk that takes only so many bytes more. */
function smallDisk(room: { bytes: number }): (real: FileOperations) => Partial<FileOperations> {
  return (real) => ({
    write: async (descriptor, bytes) => {
      if (room.bytes === 0) return fail('ENOSPC');
      const written = await real.write(descriptor, bytes.subarray(0, room.bytes));
      room.bytes -= written;
      return written;
    },
  });
}

describe('the audit file', () => {
  it('is appended to, for its owner only', async () => {
    const file = await openFile(path);
    expect(await file.write('a\nb\n')).toEqual({});
    await file.close();
    const again = await openFile(path);
    await again.write('c\n');
    await again.close();
    expect(content()).toBe('a\nb\nc\n');
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('that cannot be opened says so', async () => {
    await expect(openFile(join(directory, 'no', 'audit.log'))).rejects.toThrow(/ENOENT/);
  });

  it('holds whole lines only when the disk is full, says how many it took, and goes on when there is room', async () => {
    const room = { bytes: 8 };
    const file = await openFile(path, { operations: watched([], smallDisk(room)) });
    expect(await file.write('one\ntwo\nthree\n')).toEqual({ lines: 2, error: 'ENOSPC: injected' });
    expect(await file.write('four\n')).toMatchObject({ lines: 0 });
    room.bytes = 3;
    expect(await file.write('five\n')).toMatchObject({ lines: 0 });
    expect(content()).toBe('one\ntwo\n');
    room.bytes = 100;
    expect(await file.write('six\n')).toEqual({});
    await file.close();
    expect(content()).toBe('one\ntwo\nsix\n');
  });

  it('does not try for ever where nothing is taken', async () => {
    const file = await openFile(path, { operations: watched([], () => ({ write: () => Promise.resolve(0) })) });
    expect(await file.write('one\n')).toEqual({ lines: 0, error: 'nothing is taken' });
    await file.close();
  });

  it('takes nothing while a piece of a line cannot be cut off', async () => {
    const room = { bytes: 5 };
    let stuck = true;
    const operations = watched([], (real) => ({
      ...smallDisk(room)(real),
      truncate: (descriptor, length) => (stuck ? fail('EIO') : real.truncate(descriptor, length)),
    }));
    const file = await openFile(path, { operations });
    expect(await file.write('one\ntwo\n')).toMatchObject({ lines: 1 });
    room.bytes = 100;
    expect(await file.write('three\n')).toEqual({ lines: 0, error: 'EIO: injected' });
    stuck = false;
    expect(await file.write('four\n')).toEqual({});
    await file.close();
    expect(content()).toBe('one\nfour\n');
  });
});

describe('fsync', () => {
  it('always: after the write, before it is answered', async () => {
    const calls: string[] = [];
    const file = await openFile(path, { operations: watched(calls), fsync: 'always' });
    calls.length = 0;
    await file.write('a\n').then(() => calls.push('answered'));
    expect(calls).toEqual(['stat', 'identityOf', 'write', 'sync', 'answered']);
    await file.close();
  });

  it('always: lines that fsync fails on are taken back, so that they are lost for certain', async () => {
    let broken = true;
    const operations = watched([], (real) => ({ sync: (fd) => (broken ? fail('EIO') : real.sync(fd)) }));
    const file = await openFile(path, { operations, fsync: 'always' });
    expect(await file.write('a\n')).toEqual({ lines: 0, error: 'EIO: injected' });
    expect(content()).toBe('');
    broken = false;
    expect(await file.write('b\n')).toEqual({});
    expect(content()).toBe('b\n');
    await file.close();
  });

  it('interval: later, once, and only where something was written; a failure is told', async () => {
    const calls: string[] = [];
    const faults: string[] = [];
    const operations = watched(calls, () => ({ sync: () => fail('EIO') }));
    const file = await openFile(path, {
      ...{ operations, fsync: 'interval', syncIntervalMs: 5 },
      onFault: (operation, why) => void faults.push(`${operation} ${why}`),
    });
    expect(await file.write('a\n')).toEqual({});
    while (faults.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(calls.filter((name) => name === 'sync')).toHaveLength(1);
    expect(faults).toEqual(['sync EIO: injected']);
    await file.close();
  });

  it('none: never', async () => {
    const calls: string[] = [];
    const file = await openFile(path, { operations: watched(calls) });
    await file.write('a\n');
    await file.close();
    expect(calls).not.toContain('sync');
  });
});

describe('rotation', () => {
  const at = Date.UTC(2026, 10, 25, 12);

  it('by size: the file gets the name of the time, and the next lines a new one', async () => {
    const file = await openFile(path, { maxBytes: 8, now: () => at });
    for (const line of ['one\n', 'two\n', 'three\n', 'four\n']) await file.write(line);
    await file.close();
    expect(others()).toEqual(['audit-20261125T120000.000Z.log', 'audit-20261125T120000.001Z.log']);
    expect(readFileSync(join(directory, others()[0] ?? ''), 'utf8')).toBe('one\ntwo\n');
    expect(content()).toBe('four\n');
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('never splits a chunk, nor leaves an empty file behind', async () => {
    const file = await openFile(path, { maxBytes: 3 });
    await file.write('a line longer than that\n');
    await file.close();
    expect(others()).toEqual([]);
  });

  it('by age', async () => {
    let nowMs = Date.now();
    const file = await openFile(path, { maxAgeMs: 60_000, now: () => nowMs });
    await file.write('one\n');
    nowMs += 120_000;
    await file.write('two\n');
    await file.close();
    expect(others()).toHaveLength(1);
    expect(content()).toBe('two\n');
  });

  it('names in order whatever the clock says, also after another start', async () => {
    writeFileSync(join(directory, 'audit-20270101T000000.000Z.log'), 'later\n');
    const file = await openFile(path, { maxBytes: 1, now: () => at });
    await file.write('one\n');
    await file.write('two\n');
    await file.close();
    expect(others()).toEqual(['audit-20270101T000000.000Z.log', 'audit-20270101T000000.001Z.log']);
  });

  it('compresses what it leaves behind, for its owner only, and keeps the newest', async () => {
    const file = await openFile(path, { maxBytes: 1, keep: 2, compress: true, now: () => at });
    for (const line of ['one\n', 'two\n', 'three\n', 'four\n']) await file.write(line);
    await file.close();
    expect(others()).toEqual(['audit-20261125T120000.001Z.log.gz', 'audit-20261125T120000.002Z.log.gz']);
    const packed = join(directory, others()[1] ?? '');
    expect(gunzipSync(readFileSync(packed)).toString()).toBe('three\n');
    expect(statSync(packed).mode & 0o777).toBe(0o600);
  });

  it('touches no file of another name', async () => {
    const strange = ['audit-old.log', 'audit-20261125T120000.000Z.log.bak', 'other-20261125T120000.000Z.log'];
    for (const name of strange) writeFileSync(join(directory, name), 'x');
    const file = await openFile(path, { maxBytes: 1, keep: 1, compress: true, now: () => at });
    for (const line of ['one\n', 'two\n', 'three\n']) await file.write(line);
    await file.close();
    expect(others()).toEqual(expect.arrayContaining(strange));
    expect(others()).toHaveLength(strange.length + 1);
  });

  it('finishes at the start what a process that was killed had begun', async () => {
    writeFileSync(join(directory, 'audit-20261125T120000.000Z.log'), 'one\n');
    writeFileSync(join(directory, 'audit-20261125T120000.000Z.part'), 'half');
    writeFileSync(join(directory, 'audit-20261125T130000.000Z.log'), 'two\n');
    writeFileSync(join(directory, 'audit-20261125T130000.000Z.log.gz'), 'made anew');
    const file = await openFile(path, { compress: true });
    await file.close();
    expect(others()).toEqual(['audit-20261125T120000.000Z.log.gz', 'audit-20261125T130000.000Z.log.gz']);
    expect(gunzipSync(readFileSync(join(directory, others()[1] ?? ''))).toString()).toBe('two\n');
  });

  it.each(['rename', 'open', 'sync'] as const)('that fails at %s loses nothing: the file goes on', async (name) => {
    const faults: string[] = [];
    let broken = false;
    const operations = watched([], (real) => ({
      [name]: (...args: unknown[]) => (broken ? fail('EROFS') : Reflect.apply(real[name], undefined, args)),
    }));
    const file = await openFile(path, {
      ...{ operations, maxBytes: 1, fsync: 'interval' as const },
      onFault: (operation, why) => void faults.push(`${operation} ${why}`),
    });
    await file.write('one\n');
    broken = true;
    await file.write('two\n');
    await file.write('three\n');
    broken = false;
    await file.close();
    expect(faults).toEqual(['rotate EROFS: injected']);
    expect(content()).toBe('one\ntwo\nthree\n');
    expect(others()).toEqual([]);
  });

  it('compresses under a name that no pattern for the files of the log matches', async () => {
    const names: string[] = [];
    const operations = watched([], (real) => ({
      compress(from, to) {
        names.push(basename(to));
        return real.compress(from, to);
      },
    }));
    const file = await openFile(path, { operations, maxBytes: 1, compress: true });
    await file.write('one\n');
    await file.write('two\n');
    await file.close();
    expect(names).toEqual([expect.stringMatching(/^audit-[^.]*\.\d{3}Z\.part$/)]);
  });

  it('waits for no compression', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const operations = watched([], () => ({ compress: () => promise.then(() => fail('EIO')) }));
    const faults: string[] = [];
    const file = await openFile(path, {
      ...{ operations, maxBytes: 1, compress: true },
      onFault: (operation) => void faults.push(operation),
    });
    await file.write('one\n');
    expect(await file.write('two\n')).toEqual({});
    expect(await file.write('three\n')).toEqual({});
    resolve();
    await file.close();
    expect(new Set(faults)).toEqual(new Set(['compress']));
    expect(others()).toHaveLength(2);
  });
});

describe('a file that somebody else is at', () => {
  const moves: string[] = [];
  const faults: string[] = [];
  beforeEach(() => {
    moves.length = 0;
    faults.length = 0;
  });
  const openWatched = (over: Parameters<typeof openFile>[1] = {}) =>
    openFile(path, {
      onFault: (operation, why) => void faults.push(`${operation}: ${why}`),
      onMoved: ({ to }) => void moves.push(to),
      ...over,
    });

  it('looks at the file no more often than it is told to, and whenever the clock was set back', async () => {
    let nowMs = 1_000;
    const output = await openWatched({ lookIntervalMs: 50, now: () => nowMs });
    await output.write('one\n');
    appendFileSync(path, 'theirs\n');
    nowMs += 49;
    await output.write('two\n');
    expect(moves).toEqual([]);
    nowMs += 1;
    await output.write('three\n');
    expect(moves).toHaveLength(1);
    appendFileSync(moves[0] ?? '', 'theirs\n');
    nowMs = 0;
    await output.write('four\n');
    expect(moves).toHaveLength(2);
    await output.close();
    expect(readFileSync(path, 'utf8')).toBe('one\ntheirs\ntwo\n');
    expect(readFileSync(moves[0] ?? '', 'utf8')).toBe('three\ntheirs\n');
  });

  it.each([
    ['writes to', () => appendFileSync(path, 'theirs\n'), 'shared: somebody else has written 7 bytes to it'],
    ['cuts', () => truncateSync(path, 1), 'shared: it was cut from 4 to 1 bytes'],
    ['takes away', () => rmSync(path), 'shared: it was taken away'],
    [
      'puts another one in the place of',
      () => {
        renameSync(path, `${path}.1`);
        writeFileSync(path, 'one\n');
      },
      'shared: another file has its name',
    ],
  ])(
    '%s, is left to them: nothing of it is touched, and lines go on in a file of our own',
    async (_what, act, fault) => {
      const file = await openWatched();
      await file.write('one\n');
      act();
      const theirs = existsSync(path) ? content() : undefined;
      expect(await file.write('two\n')).toEqual({});
      expect(await file.write('three\n')).toEqual({});
      await file.close();
      expect(existsSync(path) ? content() : undefined).toBe(theirs);
      expect(faults).toEqual([fault]);
      expect(moves).toEqual([expect.stringMatching(/\/audit\.[0-9a-f]{8}\.log$/)]);
      expect(readFileSync(moves[0] ?? '', 'utf8')).toBe('two\nthree\n');
      expect(statSync(moves[0] ?? '').mode & 0o777).toBe(0o600);
    },
  );

  it('is not cut by a write of ours that fails', async () => {
    const room = { bytes: 6 };
    const operations = watched([], (real) => {
      const { write = real.write } = smallDisk(room)(real);
      return {
        write: async (descriptor, bytes) => {
          if (room.bytes === 0) appendFileSync(path, 'theirs, and longer than ours\n');
          return write(descriptor, bytes);
        },
      };
    });
    const file = await openWatched({ operations });
    expect(await file.write('one\ntwo\n')).toMatchObject({ lines: 1 });
    expect(content()).toContain('theirs, and longer than ours\n');
    room.bytes = 100;
    expect(await file.write('three\n')).toEqual({});
    await file.close();
    expect(content()).toContain('theirs, and longer than ours\n');
    expect(readFileSync(moves[0] ?? '', 'utf8')).toBe('three\n');
  });

  it('where no other file can be made, loses lines until one can', async () => {
    let broken = false;
    const operations = watched([], (real) => ({ open: (name) => (broken ? fail('EROFS') : real.open(name)) }));
    const file = await openWatched({ operations });
    appendFileSync(path, 'theirs\n');
    broken = true;
    expect(await file.write('one\n')).toEqual({ lines: 0, error: 'EROFS: injected' });
    broken = false;
    expect(await file.write('two\n')).toEqual({});
    await file.close();
    expect([content(), readFileSync(moves[0] ?? '', 'utf8')]).toEqual(['theirs\n', 'two\n']);
  });

  it('which is none of them: a rotation of ours, and a file that is no regular one', async () => {
    const file = await openWatched({ maxBytes: 1 });
    for (const line of ['one\n', 'two\n', 'three\n']) await file.write(line);
    await file.close();
    const none = await openFile('/dev/null', { onMoved: ({ to }) => void moves.push(to) });
    for (const line of ['one\n', 'two\n']) await none.write(line);
    await none.close();
    expect([faults, moves]).toEqual([[], []]);
  });
});

describe('the end of a file, at the start', () => {
  const lastOf = async (): Promise<string | undefined> => {
    const file = await openFile(path);
    await file.close();
    return file.found.lastLine?.toString();
  };

  it.each([
    ['nothing', '', undefined],
    ['one line', 'one\n', 'one'],
    ['lines', 'one\ntwo\n', 'two'],
    ['a long line', `one\n${'x'.repeat(200_000)}\n`, 'x'.repeat(200_000)],
  ])('is found: %s', async (_name, text, last) => {
    writeFileSync(path, text);
    expect(await lastOf()).toBe(last);
    expect(content()).toBe(text);
  });

  it('that is torn is kept aside, and the line before it is the last', async () => {
    for (const torn of ['{"ki', 'x'.repeat(150_000), '\u0000\u0000']) {
      writeFileSync(path, `one\ntwo\n${torn}`);
      const file = await openFile(path);
      await file.write('three\n');
      await file.close();
      expect(content()).toBe('one\ntwo\nthree\n');
      expect(file.found.lastLine?.toString()).toBe('two');
      expect(file.found.tornTail?.bytes).toBe(torn.length);
      const aside = file.found.tornTail?.keptAs ?? '';
      expect(readFileSync(aside, 'utf8')).toBe(torn);
      expect(statSync(aside).mode & 0o777).toBe(0o600);
      rmSync(aside);
    }
  });

  it('stays where it is while it cannot be kept aside, and nothing is written after it', async () => {
    writeFileSync(path, 'one\n{"ki');
    const room = { bytes: 2 };
    const faults: string[] = [];
    const file = await openFile(path, {
      operations: watched([], smallDisk(room)),
      onFault: (operation) => void faults.push(operation),
    });
    expect(faults).toEqual(['mend']);
    expect(await file.write('two\n')).toMatchObject({ lines: 0 });
    expect(content()).toBe('one\n{"ki');
    room.bytes = 100;
    expect(await file.write('three\n')).toEqual({});
    await file.close();
    expect(content()).toBe('one\nthree\n');
    expect(readFileSync(file.found.tornTail?.keptAs ?? '', 'utf8')).toBe('{"ki');
  });

  it('is that of the newest rotated file where the file itself is empty, compressed or not', async () => {
    for (const compress of [false, true]) {
      const file = await openFile(path, { maxBytes: 1, compress });
      await file.write('one\n');
      await file.write('two\nthree\n');
      await file.write('four\n');
      await file.close();
      writeFileSync(path, '');
      expect(await lastOf()).toBe('three');
    }
  });
});

describe('a file that is there already', () => {
  const modeOf = (): string => (statSync(path).mode & 0o777).toString(8);

  it('is closed to others where it is the server’s own', async () => {
    writeFileSync(path, 'a\n');
    chmodSync(path, 0o644);
    const faults: string[] = [];
    const file = await openFile(path, { onFault: (operation, why) => void faults.push(`${operation}: ${why}`) });
    expect([modeOf(), faults]).toEqual(['600', []]);
    await file.write('b\n');
    expect(content()).toBe('a\nb\n');
    await file.close();
  });

  it('is told of where it cannot be closed, and written to all the same', async () => {
    writeFileSync(path, '');
    chmodSync(path, 0o644);
    const faults: string[] = [];
    const operations = watched([], () => ({ closeToOthers: () => fail('EPERM') }));
    const onFault = (operation: string, why: string): void => void faults.push(`${operation}: ${why}`);
    const file = await openFile(path, { operations, onFault });
    expect(faults).toEqual(['mode: EPERM: injected']);
    expect(await file.write('b\n')).toEqual({});
    await file.close();
  });
});
