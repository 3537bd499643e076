import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createGunzip, createGzip } from 'node:zlib';

/** What the audit log does with files. An argument everywhere, so that tests see the order of these and make each of them fail. */
export interface FileOperations {
  /** Opens for reading and appending; makes the file, for its owner only, where it is not there. */
  open(path: string): Promise<number>;
  stat(descriptor: number): Promise<{
    readonly size: number;
    readonly birthMs: number;
    readonly regular: boolean;
    /** The same for the same file, whatever its name. */
    readonly identity: string;
  }>;
  /**
   * Takes from others what they may do with a file that was there before. @throws where it is somebody else's and all may read it; that its group
   * may is how a volume is shared with a pod (fsGroup).
   */
  closeToOthers(descriptor: number): Promise<void>;
  /** The file that has a name now; empty where none has, undefined where that cannot be seen. */
  identityOf(path: string): Promise<string | undefined>;
  /** @returns how many bytes it read. */
  read(descriptor: number, into: Uint8Array, position: number): Promise<number>;
  /** Appends. @returns how many bytes it wrote: a full disk may take a part of them. */
  write(descriptor: number, bytes: Uint8Array): Promise<number>;
  sync(descriptor: number): Promise<void>;
  truncate(descriptor: number, length: number): Promise<void>;
  close(descriptor: number): Promise<void>;
  /** Makes renames and new names in the folder of a file last. */
  syncFolderOf(path: string): Promise<void>;
  list(folder: string): Promise<readonly string[]>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Writes a gzip file, for its owner only, and forces it to the disk. */
  compress(from: string, to: string): Promise<void>;
  /** The bytes of a gzip file, piece by piece. */
  decompress(path: string): AsyncIterable<Buffer>;
}

/** Records name users and objects. */
const ownerOnly = 0o600;

const open = promisify(fs.open);
const fchmod = promisify(fs.fchmod);
const fstat = promisify(fs.fstat);
const stat = promisify(fs.stat);
const identityIn = ({ dev, ino }: fs.Stats): string => `${dev} ${ino}`;
const read = promisify(fs.read);
const write = promisify(fs.write);

/** The real ones. */
export const fileOperations: FileOperations = {
  open: (path) => open(path, 'a+', ownerOnly),
  async stat(descriptor) {
    const stats = await fstat(descriptor);
    const birthMs = stats.birthtimeMs || stats.mtimeMs;
    return { size: stats.size, birthMs, regular: stats.isFile(), identity: identityIn(stats) };
  },
  async closeToOthers(descriptor) {
    const { mode, uid } = await fstat(descriptor);
    if ((mode & 0o077) === 0) return;
    if (uid === process.geteuid?.()) await fchmod(descriptor, ownerOnly);
    else if ((mode & 0o004) !== 0) throw new Error('everybody may read it, and it is another user’s: chmod 600');
  },
  async identityOf(path) {
    try {
      return identityIn(await stat(path));
    } catch (error) {
      return error instanceof Error && 'code' in error && error.code === 'ENOENT' ? '' : undefined;
    }
  },
  read: async (descriptor, into, position) => (await read(descriptor, into, 0, into.length, position)).bytesRead,
  write: async (descriptor, bytes) => (await write(descriptor, bytes, 0, bytes.length, null)).bytesWritten,
  sync: promisify(fs.fsync),
  truncate: promisify(fs.ftruncate),
  close: promisify(fs.close),
  async syncFolderOf(path) {
    const folder = await fs.promises.open(dirname(path));
    await folder.sync().finally(() => folder.close());
  },
  list: (folder) => fs.promises.readdir(folder),
  rename: fs.promises.rename,
  remove: fs.promises.unlink,
  compress: (from, to) =>
    pipeline(fs.createReadStream(from), createGzip(), fs.createWriteStream(to, { mode: ownerOnly, flush: true })),
  decompress: (path) => fs.createReadStream(path).compose(createGunzip()) as AsyncIterable<Buffer>,
};

/** Writes all of some bytes, piece by piece. @returns how many are there, with the error that kept the rest away. */
export async function writeAll(
  write: (rest: Uint8Array) => Promise<number>,
  bytes: Uint8Array,
): Promise<{ readonly written: number; readonly error?: string }> {
  let written = 0;
  try {
    while (written < bytes.length) {
      const count = await write(bytes.subarray(written));
      if (count === 0) return { written, error: 'nothing is taken' };
      written += count;
    }
    return { written };
  } catch (error) {
    return { written, error: messageOf(error) };
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
