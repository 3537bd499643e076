import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ControlPlane } from './control-plane.ts';

/*
 * Volumes as a kubelet writes them, since no kubelet here has containers to mount them into.
 */

/**
 * Writes the files of a ConfigMap or Secret as a kubelet does (its AtomicWriter, kubernetes/pkg/volume/util/atomic_writer.go): into a new
 * folder, to which the link `..data` is then swapped; each name is a link through `..data`, so all change at once. What is there already is not
 * written again.
 */
export function writeMounted(directory: string, files: Readonly<Record<string, Buffer | string>>): void {
  mkdirSync(directory, { recursive: true });
  const data = join(directory, '..data');
  const before = existing(data);
  if (mountedState(directory, files) === 'same') return;
  const stamp = new Date().toISOString().replace(/\..*/, '').replace(/[-T:]/g, '_');
  const next = mkdtempSync(join(directory, `..${stamp}.`));
  chmodSync(next, 0o755);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(next, name), content);
  symlinkSync(next.slice(directory.length + 1), `${data}_tmp`);
  renameSync(`${data}_tmp`, data);
  const visible = readdirSync(directory).filter((name) => !name.startsWith('..'));
  for (const name of Object.keys(files)) {
    if (!visible.includes(name)) symlinkSync(join('..data', name), join(directory, name));
  }
  for (const name of visible) if (files[name] === undefined) rmSync(join(directory, name));
  if (before !== undefined) rmSync(join(directory, before), { recursive: true });
}

/** What stands in a folder of `writeMounted`: nothing yet, other files than these, or these. */
export function mountedState(
  directory: string,
  files: Readonly<Record<string, Buffer | string>>,
): 'absent' | 'other' | 'same' {
  const data = existing(join(directory, '..data'));
  if (data === undefined) return 'absent';
  return isSame(join(directory, data), files) ? 'same' : 'other';
}

function existing(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}

function isSame(directory: string, files: Readonly<Record<string, Buffer | string>>): boolean {
  const names = readdirSync(directory);
  return (
    names.length === Object.keys(files).length &&
    names.every(
      (name) => files[name] !== undefined && readFileSync(join(directory, name)).equals(Buffer.from(files[name])),
    )
  );
}

/** A Secret that is kept in files. */
export interface MountedSecret {
  /** How long after a change the files have it, also for one that is seen already: a kubelet takes up to 90 s. */
  setDelay(ms: number): void;
  /** Is a change seen that the files do not have yet? */
  isLate(): boolean;
  close(): void;
}

export interface MountOptions {
  readonly namespace: string;
  readonly name: string;
  readonly directory: string;
  readonly delayMs: number;
}

/**
 * Keeps a Secret of a cluster in files, as a volume of a running pod is kept: `delayMs` after a change is seen, what the Secret then holds is written.
 * A Secret that is not there leaves the files as they are.
 */
export function mountSecret(plane: ControlPlane, options: MountOptions): MountedSecret {
  const { namespace, name, directory } = options;
  let { delayMs } = options;
  let written: string | undefined;
  let seenMs: number | undefined;
  let closed = false;
  const look = async (): Promise<void> => {
    const path = `/api/v1/namespaces/${namespace}/secrets/${name}`;
    // The API server may be away; a kubelet goes on trying, too.
    const answer = await plane.api.send('GET', path).catch(() => undefined);
    if (answer?.code !== 200) return;
    const { metadata, data = {} } = answer.body;
    const version = `${metadata.uid}/${metadata.resourceVersion}`;
    if (version === written) return;
    seenMs ??= Date.now();
    if (Date.now() < seenMs + delayMs || closed) return;
    writeMounted(
      directory,
      Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(String(value), 'base64')])),
    );
    written = version;
    seenMs = undefined;
  };
  const keep = async (): Promise<void> => {
    while (!closed) {
      await look();
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };
  void keep();
  return {
    setDelay(ms) {
      delayMs = ms;
    },
    isLate: () => seenMs !== undefined,
    close() {
      closed = true;
    },
  };
}
