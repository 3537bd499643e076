import { writeAll } from '../file-operations.ts';
import type { Output } from './queue.ts';

/**
 * Lines to a stream, such as standard output: what is written cannot be taken back. Where a write ends within a line, the next one begins
 * with a line break, so that no two lines become one.
 * @param write appends bytes; @returns how many it took.
 */
export function createStreamOutput(write: (bytes: Uint8Array) => Promise<number>): Output {
  let torn = false;
  return {
    async write(text) {
      const bytes = Buffer.from(torn ? `\n${text}` : text);
      const { written, error } = await writeAll(write, bytes);
      const taken = bytes.subarray(0, written);
      if (written > 0) torn = taken.at(-1) !== 0x0a;
      if (error === undefined) return {};
      const whole = taken
        .subarray(0, taken.lastIndexOf(0x0a) + 1)
        .toString()
        .replace(/^\n/, '');
      return { lines: whole.split('\n').length - 1, error };
    },
    close: () => Promise.resolve(),
  };
}
