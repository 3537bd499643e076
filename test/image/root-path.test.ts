import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pathInRoot } from '../../scripts/image/root-path.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'root-'));
  mkdirSync(join(root, 'usr/lib/here'), { recursive: true });
  writeFileSync(join(root, 'usr/lib/here/libc.so.6'), '');
  symlinkSync('usr/lib', join(root, 'lib'));
});
afterEach(() => rmSync(root, { recursive: true }));

describe('a path in the root of another system', () => {
  it('follows links of folders', () => {
    expect(pathInRoot(root, '/lib/here/libc.so.6')).toBe('/usr/lib/here/libc.so.6');
  });

  it('follows an absolute link by that root, not by this machine’s', () => {
    symlinkSync('/lib/here/libc.so.6', join(root, 'usr/loader'));
    expect(pathInRoot(root, '/usr/loader')).toBe('/usr/lib/here/libc.so.6');
  });

  it('does not climb out of the root', () => {
    symlinkSync('../../../../lib/here/libc.so.6', join(root, 'usr/up'));
    expect(pathInRoot(root, '/usr/up')).toBe('/usr/lib/here/libc.so.6');
  });

  it('ends at what does not exist and at links that go round', () => {
    symlinkSync('round', join(root, 'round'));
    expect(() => pathInRoot(root, '/round')).toThrow('too many links');
    expect(() => pathInRoot(root, '/lib/nowhere')).toThrow('ENOENT');
  });
});
