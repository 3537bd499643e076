/* Makes the image's root file system in a folder. The Dockerfile's build stage is the same call. */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildRootfs, isTargetArch, ownArch } from './image/rootfs.ts';

const { values } = parseArgs({
  options: {
    arch: { type: 'string', default: ownArch() },
    system: { type: 'string', default: '/' },
    out: { type: 'string' },
  },
});
const { arch, system, out } = values;
if (out === undefined) throw new Error('--out FOLDER is needed: where the root file system is made');
if (!isTargetArch(arch)) throw new Error(`--arch must be amd64 or arm64, not "${arch}"`);
buildRootfs({ project: join(import.meta.dirname, '..'), out: resolve(out), arch, system: resolve(system) });
