import { hashOf } from '../../audit/chain.ts';
import { type ApiEvent, readApiEvent } from '../../audit/read/api-event.ts';
import { createHashTable } from '../../audit/read/hash-table.ts';
import { readLines } from './read-file.ts';
import type { LogFiles } from './walk.ts';

/**
 * Hands over each event of the API server's audit log once, and where lines stand that are none. The same event is the same bytes: its audit ID
 * is whatever the client chose to send as `Audit-ID` (k8s.io/apiserver, pkg/audit). @returns how many events were given more than once.
 */
export async function eachEvent(
  files: readonly string[],
  { progress }: LogFiles,
  take: (event: ApiEvent | 'bad', where: string) => void,
): Promise<number> {
  const seen = createHashTable();
  let repeated = 0;
  for (const file of files) {
    for await (const lines of readLines(file, progress.add)) {
      for (const { bytes, number, torn } of lines) {
        // A last line without its end is being written.
        if (torn) continue;
        const event = readApiEvent(bytes);
        if (event === undefined) continue;
        if (event === 'bad' || seen.add(hashOf(bytes))) take(event, `${file}:${number}`);
        else repeated += 1;
      }
    }
  }
  return repeated;
}
