import { expect } from 'vitest';
import { tlsSecret } from '../../cluster/self-signed.ts';
import type { Certified, CertifiedLoad } from './certified.ts';

/** Each waits for its answer before it asks again: more of them wait longer, no more. */
const clients = 16;

/** Does something, and goes on creating for a while after it. Says what it saw. */
export async function underLoad(what: string, seen: Certified, work: () => Promise<void>): Promise<CertifiedLoad> {
  const load = await seen.during(async () => {
    await work();
    await new Promise((resolve) => setTimeout(resolve, 3_000));
  }, clients);
  const { times, failed, handshakes, distrusted } = load;
  console.log(
    `${what}: ${times.done} creates, ${failed.length} failed; ${handshakes} handshakes, ${distrusted.length} not trusted\n${[...new Set(failed)].join('\n')}`,
  );
  return load;
}

export function expectNoneLost({ failed, distrusted, handshakes }: CertifiedLoad): void {
  expect({ failed: failed.slice(0, 3), distrusted: distrusted.slice(0, 3) }).toEqual({ failed: [], distrusted: [] });
  expect(handshakes).toBeGreaterThan(10);
}

/** The same with what ends in another certificate, until every replica serves it. */
export async function replacedUnderLoad(
  what: string,
  seen: Certified,
  work: () => Promise<void>,
): Promise<CertifiedLoad> {
  const before = await seen.fingerprintIn(tlsSecret);
  return underLoad(what, seen, async () => {
    await work();
    await seen.untilServed(before);
  });
}
