import { statSync } from 'node:fs';
import type { CliIo } from '../io.ts';

export interface Progress {
  add(bytes: number): void;
  /** Takes the bar away until it is drawn again: before anything is printed, which may go to the same terminal, and at the end. */
  clear(): void;
}

const everyMs = 200;
const width = 30;

/** A bar on standard error, if that is a terminal; nothing otherwise. @param files those that will be read, each as often as it stands there. */
export function createProgress(files: readonly string[], io: CliIo): Progress {
  if (!io.terminal) return { add: () => undefined, clear: () => undefined };
  const total = files.reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0);
  let read = 0;
  let drawnMs = 0;
  let isShown = false;
  return {
    add(bytes) {
      read += bytes;
      const nowMs = io.now();
      if (nowMs - drawnMs < everyMs) return;
      drawnMs = nowMs;
      isShown = true;
      io.stderr(`\r${bar(total === 0 ? 1 : Math.min(1, read / total))}`);
    },
    clear() {
      if (isShown) io.stderr('\r\u001b[K');
      isShown = false;
    },
  };
}

function bar(share: number): string {
  const full = Math.floor(share * width);
  return `[${'='.repeat(full)}${' '.repeat(width - full)}] ${String(Math.floor(share * 100)).padStart(3)} %`;
}
