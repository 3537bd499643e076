import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FileWatcher, watchFiles } from '../../src/config/watch-files.ts';
import { writeMounted } from '../cluster/mounted-files.ts';
import { eventually } from '../server/support.ts';

let directory: string;
let watcher: FileWatcher | undefined;
let seen: (string | undefined)[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'watch-'));
  seen = [];
});
afterEach(() => {
  watcher?.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Never within a test: what is seen came by an event. */
const noPoll = 3_600_000;

async function watching(path: string, options: { events?: boolean; pollMs?: number } = {}): Promise<void> {
  watcher = watchFiles({
    paths: [path],
    pollMs: options.pollMs ?? noPoll,
    events: options.events ?? true,
    settleMs: 5,
    log: () => undefined,
    onChange: (contents) => void seen.push(contents.get(path)?.toString()),
  });
  await eventually('the first look', () => seen.length === 1);
}

const last = (): string | undefined => seen.at(-1);

for (const [name, options] of [
  ['by event alone', { events: true, pollMs: noPoll }],
  ['by poll alone', { events: false, pollMs: 10 }],
] as const) {
  describe(`watchFiles, ${name}`, () => {
    it('sees a file that is written in place', async () => {
      const path = join(directory, 'policy.yaml');
      writeFileSync(path, 'one');
      await watching(path, options);
      expect(seen).toEqual(['one']);
      writeFileSync(path, 'two');
      await eventually('the change', () => last() === 'two');
    });

    it('sees an editor’s rename over the file, again and again', async () => {
      const path = join(directory, 'policy.yaml');
      writeFileSync(path, 'one');
      await watching(path, options);
      for (const text of ['two', 'three']) {
        writeFileSync(join(directory, '.swap'), text);
        renameSync(join(directory, '.swap'), path);
        await eventually(text, () => last() === text);
      }
    });

    it('sees the ..data swap of a mounted ConfigMap, again and again', async () => {
      writeMounted(directory, { 'policy.yaml': 'one' });
      await watching(join(directory, 'policy.yaml'), options);
      expect(seen).toEqual(['one']);
      for (const text of ['two', 'three']) {
        writeMounted(directory, { 'policy.yaml': text });
        await eventually(text, () => last() === text);
      }
    });

    it('survives a file that is removed and comes back', async () => {
      const path = join(directory, 'policy.yaml');
      writeFileSync(path, 'one');
      await watching(path, options);
      rmSync(path);
      await eventually('it is gone', () => seen.length > 1 && last() === undefined);
      writeFileSync(path, 'two');
      await eventually('it is back', () => last() === 'two');
    });
  });
}

describe('watchFiles', () => {
  it('says nothing while the contents stay the same', async () => {
    const path = join(directory, 'policy.yaml');
    writeFileSync(path, 'one');
    await watching(path, { events: true, pollMs: 5 });
    for (let i = 0; i < 5; i++) {
      writeFileSync(path, 'one');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(seen.filter((text) => text !== '')).toEqual(['one']);
  });

  it('goes on after a callback that throws', async () => {
    const path = join(directory, 'policy.yaml');
    writeFileSync(path, 'one');
    const logged: string[] = [];
    watcher = watchFiles({
      paths: [path],
      pollMs: 5,
      events: false,
      log: (_level, message) => void logged.push(message),
      onChange: (contents) => {
        seen.push(contents.get(path)?.toString());
        throw new Error('no');
      },
    });
    await eventually('the first', () => last() === 'one');
    writeFileSync(path, 'two');
    await eventually('the second', () => last() === 'two');
    expect(logged.length).toBeGreaterThan(0);
  });

  it('does not take a file that is half written', async () => {
    const path = join(directory, 'policy.yaml');
    writeFileSync(path, 'one');
    watcher = watchFiles({
      paths: [path],
      pollMs: 2,
      events: false,
      settleMs: 300,
      log: () => undefined,
      onChange: (contents) => void seen.push(contents.get(path)?.toString()),
    });
    await eventually('the first look', () => seen.length === 1);
    writeFileSync(path, '');
    await new Promise((resolve) => setTimeout(resolve, 30));
    writeFileSync(path, 'two');
    await eventually('the whole file', () => last() === 'two');
    expect(seen).toEqual(['one', 'two']);
  });

  it('says nothing after close', async () => {
    const path = join(directory, 'policy.yaml');
    writeFileSync(path, 'one');
    await watching(path, { events: true, pollMs: 5 });
    watcher?.close();
    writeFileSync(path, 'two');
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(seen).toEqual(['one']);
  });
});
