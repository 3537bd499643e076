import { type ApiEvent, readApiEvent } from '../../audit/read/api-event.ts';
import { readLines } from './read-file.ts';
import type { LogFiles } from './walk.ts';

/** Hands over each event of the API server's audit log, and where lines stand that are none. */
export async function eachEvent(
  files: readonly string[],
  { progress }: LogFiles,
  take: (event: ApiEvent | 'bad', where: string) => void,
): Promise<void> {
  for (const file of files) {
    for await (const lines of readLines(file, progress.add)) {
      for (const { bytes, number, torn } of lines) {
        // A last line without its end is being written.
        if (torn) continue;
        const event = readApiEvent(bytes);
        if (event !== undefined) take(event, `${file}:${number}`);
      }
    }
  }
}
