import { mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeMounted } from './mounted-files.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mounted-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const read = (name: string): string => readFileSync(join(directory, name), 'utf8');
const target = (): string => readlinkSync(join(directory, '..data'));

it('lays files out as a kubelet does: links through ..data into a folder with the time in its name', () => {
  writeMounted(directory, { 'tls.crt': 'certificate', 'tls.key': 'key' });
  expect(readdirSync(directory).sort()).toEqual([target(), '..data', 'tls.crt', 'tls.key']);
  expect(target()).toMatch(/^\.\.\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d\./);
  expect(readlinkSync(join(directory, 'tls.crt'))).toBe('..data/tls.crt');
  expect([read('tls.crt'), read('tls.key')]).toEqual(['certificate', 'key']);
});

it('changes all files by one swap of ..data, and leaves nothing of before', () => {
  writeMounted(directory, { 'tls.crt': 'one', 'tls.key': 'one' });
  const before = target();
  writeMounted(directory, { 'tls.crt': 'two', 'ca.crt': 'two' });
  expect(target()).not.toBe(before);
  expect(readdirSync(directory).sort()).toEqual([target(), '..data', 'ca.crt', 'tls.crt']);
  for (const name of ['ca.crt', 'tls.crt']) {
    expect(read(name)).toBe('two');
    expect(realpathSync(join(directory, name))).toBe(join(realpathSync(directory), target(), name));
  }
});

it('writes nothing when nothing has changed', () => {
  writeMounted(directory, { 'tls.crt': 'one' });
  const before = target();
  writeMounted(directory, { 'tls.crt': 'one' });
  expect(target()).toBe(before);
});
