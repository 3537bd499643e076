import { createHash } from 'node:crypto';

/** The hash by which the API server's log names a record: reckoned here, not by what is tested. */
export const recordHash = (line: string): string => createHash('sha256').update(line).digest('hex');

const suffix = '.osmo-admission/record-hash';

/** Records that an event of the API server's audit log names, by the first part of our webhook's name: `pods.validate`. */
export function recordHashesIn(annotations: unknown): readonly { readonly webhook: string; readonly hash: string }[] {
  return Object.entries(Object(annotations))
    .filter(([key]) => key.endsWith(suffix))
    .map(([key, hash]) => ({ webhook: key.slice(0, -suffix.length), hash: String(hash) }));
}
