/** What the dynamic linker must find before a program runs. */
export interface ElfNeeds {
  /** Path of the dynamic linker; a library names none. */
  readonly interpreter?: string;
  /** Names of libraries, as `libc.so.6`. */
  readonly libraries: readonly string[];
}

/* Numbers of elf(5). */
const segment = { load: 1, dynamic: 2, interpreter: 3 };
const entry = { end: 0, needed: 1, stringTable: 5 };

/**
 * Reads it from the file itself: `ldd` runs the program, which one of another architecture does not do.
 * @param file the bytes of a 64-bit little-endian ELF file, as elf(5) describes them.
 * @throws Error if it is none.
 */
export function elfNeeds(file: Buffer): ElfNeeds {
  if (file.toString('latin1', 0, 4) !== '\x7fELF' || file[4] !== 2 || file[5] !== 1) {
    throw new Error('not a 64-bit little-endian ELF file');
  }
  const number = (at: number): number => Number(file.readBigUInt64LE(at));
  const text = (at: number): string => file.toString('latin1', at, file.indexOf(0, at));
  const [table, size, count] = [number(32), file.readUInt16LE(54), file.readUInt16LE(56)];
  const segments = Array.from({ length: count }, (_, index) => {
    const at = table + index * size;
    return { type: file.readUInt32LE(at), offset: number(at + 8), address: number(at + 16), length: number(at + 32) };
  });
  const interpreter = segments.find(({ type }) => type === segment.interpreter);
  const dynamic = segments.find(({ type }) => type === segment.dynamic);
  const entries: (readonly [tag: number, value: number])[] = [];
  if (dynamic !== undefined) {
    for (let at = dynamic.offset; at < dynamic.offset + dynamic.length && number(at) !== entry.end; at += 16) {
      entries.push([number(at), number(at + 8)]);
    }
  }
  // The table of strings is named by its address in memory.
  const address = entries.find(([tag]) => tag === entry.stringTable)?.[1] ?? 0;
  const loaded = segments.find(
    (one) => one.type === segment.load && one.address <= address && address < one.address + one.length,
  );
  const strings = address - (loaded?.address ?? 0) + (loaded?.offset ?? 0);
  return {
    ...(interpreter !== undefined && { interpreter: text(interpreter.offset) }),
    libraries: entries.filter(([tag]) => tag === entry.needed).map(([, value]) => text(strings + value)),
  };
}
