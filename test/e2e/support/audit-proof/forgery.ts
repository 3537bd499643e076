import { canonicalize } from '../../../../src/audit/canonical.ts';
import { hashOf } from '../../../../src/audit/chain.ts';
import type { AuditLine, Checkpoint } from '../../../../src/audit/line.ts';
import { type SigningKey, signText } from '../../../../src/audit/signing.ts';

/** A line, its members changed, as the server would write it. */
export function changed(line: string, over: object): string {
  return canonicalize({ ...JSON.parse(line), ...over });
}

/**
 * Lines after one that is not theirs, numbered and linked anew as somebody does who has no key: signatures stay as they were.
 * @returns all of them, the first as it is.
 */
export function relinked([first = '', ...rest]: readonly string[]): readonly string[] {
  const lines = [first];
  for (const text of rest) {
    const before = lines.at(-1) ?? '';
    const [last, line]: readonly AuditLine[] = [JSON.parse(before), JSON.parse(text)];
    if (last === undefined || line === undefined) continue;
    const previous = hashOf(before);
    const { boot, sequence } = last;
    lines.push(
      line.kind === 'LogStart'
        ? canonicalize({ ...line, previous, previousBoot: { boot, sequence, hash: previous } })
        : canonicalize({ ...line, previous, sequence: sequence + 1 }),
    );
  }
  return lines;
}

/** A checkpoint signed by a key, which it says is the key `keyId`. */
export function resigned(line: string, key: SigningKey, keyId = key.keyId): string {
  const { signature: _, ...unsigned }: Checkpoint = { ...JSON.parse(line), keyId };
  return canonicalize({ ...unsigned, signature: signText(key, canonicalize(unsigned)) });
}
