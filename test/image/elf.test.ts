import { describe, expect, it } from 'vitest';
import { elfNeeds } from '../../scripts/image/elf.ts';

interface Parts {
  readonly interpreter?: string;
  readonly libraries: readonly string[];
}

/** An ELF file of its headers alone, loaded at an address that differs from its place in the file, as elf(5) lays it out. */
function elf({ interpreter, libraries }: Parts): Buffer {
  const file = Buffer.alloc(1024);
  const [base, dynamicAt, stringsAt, interpreterAt] = [0x40_0000, 256, 512, 768];
  file.write('\x7fELF\x02\x01', 'latin1');
  file.writeBigUInt64LE(64n, 32);
  file.writeUInt16LE(56, 54);
  let segments = 0;
  const segment = (type: number, offset: number, length: number): void => {
    const at = 64 + 56 * segments++;
    file.writeUInt32LE(type, at);
    file.writeBigUInt64LE(BigInt(offset), at + 8);
    file.writeBigUInt64LE(BigInt(base + offset), at + 16);
    file.writeBigUInt64LE(BigInt(length), at + 32);
  };
  segment(1, 0, file.length);
  if (interpreter !== undefined) {
    segment(3, interpreterAt, interpreter.length + 1);
    file.write(`${interpreter}\0`, interpreterAt);
  }
  const entries: [number, number][] = [];
  let used = 1;
  for (const library of libraries) {
    file.write(`${library}\0`, stringsAt + used);
    entries.push([1, used]);
    used += library.length + 1;
  }
  entries.push([5, base + stringsAt]);
  segment(2, dynamicAt, 16 * (entries.length + 1));
  for (const [index, [tag, value]] of entries.entries()) {
    file.writeBigUInt64LE(BigInt(tag), dynamicAt + 16 * index);
    file.writeBigUInt64LE(BigInt(value), dynamicAt + 16 * index + 8);
  }
  file.writeUInt16LE(segments, 56);
  return file;
}

describe('what an ELF file needs', () => {
  it('is its dynamic linker and the libraries that it names', () => {
    const parts = { interpreter: '/lib64/ld-linux-x86-64.so.2', libraries: ['libstdc++.so.6', 'libc.so.6'] };
    expect(elfNeeds(elf(parts))).toEqual(parts);
  });

  it('of a library is no linker', () => {
    expect(elfNeeds(elf({ libraries: ['libc.so.6'] }))).toEqual({ libraries: ['libc.so.6'] });
  });

  it('is not guessed of anything else', () => {
    expect(() => elfNeeds(Buffer.from('#!/bin/sh\n'))).toThrow('not a 64-bit little-endian ELF file');
    const other = elf({ libraries: [] });
    other[5] = 2;
    expect(() => elfNeeds(other)).toThrow('not a 64-bit little-endian ELF file');
  });
});
