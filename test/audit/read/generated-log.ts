import fc from 'fast-check';
import { createLog, newSigningKey } from '../../support/audit-log.ts';

/* Random logs as the server writes them. */

const key = newSigningKey();

export type Step =
  | { readonly do: 'decide' | 'checkpoint' | 'restart' | 'kill' | 'apart' }
  | { readonly do: 'lose'; readonly count: number };

const steps: Readonly<Record<Step['do'], { readonly weight: number; readonly arbitrary: fc.Arbitrary<Step> }>> = {
  decide: { weight: 24, arbitrary: fc.constant<Step>({ do: 'decide' }) },
  checkpoint: { weight: 6, arbitrary: fc.constant<Step>({ do: 'checkpoint' }) },
  restart: { weight: 2, arbitrary: fc.constant<Step>({ do: 'restart' }) },
  kill: { weight: 2, arbitrary: fc.constant<Step>({ do: 'kill' }) },
  apart: { weight: 2, arbitrary: fc.constant<Step>({ do: 'apart' }) },
  lose: { weight: 3, arbitrary: fc.integer({ min: 1, max: 4 }).map((count) => ({ do: 'lose' as const, count })) },
};

/** What happens to a log: some of these. */
export function anyLog(kinds: readonly Step['do'][]): fc.Arbitrary<readonly Step[]> {
  return fc.array(fc.oneof(...kinds.map((kind) => steps[kind])), { minLength: 4, maxLength: 40, size: 'max' });
}

/** Lines of an orderly log of at least six lines. @param noted with a note of each kind. */
export function linesOf(log: readonly Step[], noted = false): readonly string[] {
  const writer = createLog({ key });
  writer.start();
  if (noted) {
    const fingerprint = 'b'.repeat(64);
    writer.policy();
    writer.add({
      kind: 'CertificateRecord',
      time: writer.time(),
      outcome: 'loaded',
      notAfter: writer.time(),
      fingerprint,
    });
    writer.add({ kind: 'ConfigurationRecord', time: writer.time(), gaps: [{ where: 'w', message: 'm' }] });
  }
  for (const entry of log) {
    if (entry.do === 'decide') writer.decide();
    else if (entry.do === 'checkpoint') writer.checkpoint();
    else if (entry.do === 'lose') writer.lose(entry.count);
    else {
      if (entry.do !== 'kill') writer.stop();
      writer.start({ apart: entry.do === 'apart' });
    }
  }
  writer.stop();
  return writer.lines;
}

export const join = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
export const kindOf = (line: string | undefined): string => JSON.parse(line ?? '{}').kind;
