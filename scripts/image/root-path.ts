import { lstatSync, readlinkSync } from 'node:fs';
import { join, posix } from 'node:path';

/** As path_resolution(7) counts. */
const mostLinks = 40;

/**
 * Follows links as a process with this root would: what a link of another system calls `/lib/…` is not this machine's.
 * @param path absolute, by that root. @returns absolute, by that root, without links.
 * @throws Error if nothing is there, or if links lead nowhere.
 */
export function pathInRoot(root: string, path: string): string {
  let rest = path.split('/').filter((part) => part !== '');
  let done = '/';
  for (let links = 0; rest.length > 0; ) {
    const [part = '', ...further] = rest;
    const next = posix.join(done, part);
    rest = further;
    if (!lstatSync(join(root, next)).isSymbolicLink()) {
      done = next;
      continue;
    }
    if (++links > mostLinks) throw new Error(`${path} has too many links`);
    const target = readlinkSync(join(root, next));
    if (target.startsWith('/')) done = '/';
    rest = [...target.split('/').filter((name) => name !== ''), ...rest];
  }
  return done;
}
