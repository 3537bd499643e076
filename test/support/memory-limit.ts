import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A control group: what runs in it may take so much memory together, and is killed for more, as a kubelet has it for a container. */
export interface MemoryLimit {
  /** A command that enters it and becomes the program that follows, with its arguments. */
  readonly command: readonly string[];
  /** The most that was taken so far, in bytes. */
  peakBytes(): number;
  /** Once nothing runs in it any more. */
  remove(): void;
}

/** @returns undefined where this user may make none. */
export function limitMemory(name: string, bytes: number): MemoryLimit | undefined {
  const root = '/sys/fs/cgroup';
  const unified = existsSync(join(root, 'cgroup.controllers'));
  const folder = join(root, unified ? '' : 'memory', name);
  const [limit, peak] = unified
    ? ['memory.max', 'memory.peak']
    : ['memory.limit_in_bytes', 'memory.max_usage_in_bytes'];
  try {
    mkdirSync(folder);
    writeFileSync(join(folder, limit), String(bytes));
  } catch {
    if (existsSync(folder)) rmdirSync(folder);
    return undefined;
  }
  return {
    command: ['/bin/sh', '-c', `echo $$ > '${folder}/cgroup.procs' && exec "$@"`, 'sh'],
    peakBytes: () => Number(readFileSync(join(folder, peak), 'utf8')),
    remove: () => rmdirSync(folder),
  };
}
