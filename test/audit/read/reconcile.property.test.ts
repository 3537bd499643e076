import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashOf } from '../../../src/audit/chain.ts';
import { failedEventOf } from '../../support/api-event.ts';
import { createLog } from '../../support/audit-log.ts';
import { runCli } from '../../support/cli.ts';

/* Requests of every fate at once, in the logs of two replicas and in an API server's that has its events in another order. */

/** What became of a request, and the list that it belongs in. */
const fates = {
  'both logs have it': 'known',
  'an update, called again after a conflict': 'known, again',
  'its record was taken out': 'missing',
  'its record was changed': 'differs',
  'its record stands there twice': 'known, twice',
  'its record was made up': 'unknown',
  'its webhook failed, and it went on': 'failedOpen',
  'nobody asked, in scope': 'unseen',
  'nobody asked, an update in scope': 'unclear',
  'nobody asked, and it was refused': '',
  'nobody asked, about another resource': '',
  'nobody asked, of a pod elsewhere, whose labels the event does not show': 'unclear',
  'it was answered with an error': 'errors',
  'its answer did not arrive, and it went on': 'unanswered, failedOpen',
  'its answer did not arrive, and it was refused': 'unanswered',
} as const;
type Fate = keyof typeof fates;
// biome-ignore lint/suspicious/noExplicitAny: a report as JSON.
type Json = any;

const request = fc.record({
  fate: fc.constantFrom(...(Object.keys(fates) as Fate[])),
  replica: fc.integer({ min: 0, max: 1 }),
  phase: fc.constantFrom('mutate', 'validate'),
  /** Where its event stands among the others. */
  rank: fc.nat(),
});

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'reconcile-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function reconcile(logs: readonly (readonly string[])[], events: readonly object[]): Promise<Json> {
  const write = (name: string, lines: readonly string[]): string => {
    const file = join(directory, name);
    writeFileSync(file, lines.map((line) => `${line}\n`).join(''));
    return file;
  };
  const ours = logs.map((lines, index) => write(`${index}.log`, lines));
  const theirs = write(
    'api.log',
    events.map((event) => JSON.stringify(event)),
  );
  const { code, stdout } = await runCli(['log', 'reconcile', ...ours, '--api-audit', theirs, '-o', 'json']);
  return { code, ...JSON.parse(stdout) };
}

describe('every request of two logs', () => {
  it('is in exactly the list that its fate belongs in', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 40 }), async (requests) => {
        const fromMs = Date.UTC(2026, 10, 25, 12);
        const writers = [0, 1].map((index) => createLog({ replica: `webhook-${index}`, fromMs: fromMs + index }));
        for (const writer of writers) {
          writer.start();
          writer.policy();
        }
        const edited = new Map<string, readonly string[]>();
        const events = requests.map(({ fate, replica, phase, rank }, number) => {
          const writer = writers[replica];
          if (writer === undefined) throw new Error('no such replica');
          const isUpdate = fate.includes('update');
          const verb = isUpdate ? 'update' : 'create';
          const objectRef = {
            ...{ apiGroup: '', apiVersion: 'v1', subresource: '', name: `p${number}` },
            resource: fate.includes('another resource') ? 'configmaps' : 'pods',
            namespace: fate.includes('elsewhere') ? 'elsewhere' : 'osmo-workflows',
          };
          const isJudged = !/failed|nobody/.test(fate);
          const isUnanswered = fate.includes('did not arrive');
          const receivedTime = writer.time();
          const over = { verb, objectRef, phase: phase as 'mutate' | 'validate' };
          const isError = fates[fate] === 'errors';
          const line = isJudged ? writer.decide({ ...over, ...(isError && { decision: 'error', error: 'no' }) }) : '';
          if (fate.includes('again')) writer.decide(over);
          if (fates[fate] === 'missing') edited.set(line, []);
          if (fates[fate] === 'differs') edited.set(line, [line.replace('"allow"', '"deny"')]);
          if (fates[fate] === 'known, twice') edited.set(line, [line, line]);
          const hasHash = isJudged && fates[fate] !== 'unknown' && !isError;
          const event = {
            ...{ kind: 'Event', apiVersion: 'audit.k8s.io/v1', level: 'Metadata', stage: 'ResponseComplete' },
            ...{ auditID: `${number}`, verb, user: { username: 'alice-the-user' }, objectRef },
            // What only a mutating webhook was asked about was refused by somebody else.
            responseStatus: {
              code: isError ? 500 : fate.includes('refused') || (isJudged && phase === 'mutate') ? 403 : 201,
            },
            ...{ requestReceivedTimestamp: receivedTime, stageTimestamp: writer.time() },
            annotations: {
              ...(hasHash && { [`pods.${phase}.osmo-admission/record-hash`]: hashOf(line) }),
              ...(fates[fate] === 'failedOpen' && {
                'failed-open.validating.webhook.admission.k8s.io/round_0_index_1': 'pods.validate.osmo-admission',
              }),
            },
          };
          if (!isUnanswered) return { rank, event, isLogged: fates[fate] !== 'unknown' };
          const unanswered = failedEventOf(line, fate.includes('went on') ? 'open' : 'refused', {
            ...{ auditID: `${number}`, objectRef, requestReceivedTimestamp: receivedTime },
            stageTimestamp: event.stageTimestamp,
          });
          return { rank, event: unanswered, isLogged: true };
        });
        const logs = writers.map(({ lines }) => lines.flatMap((line) => edited.get(line) ?? [line]));
        const sorted = events.filter(({ isLogged }) => isLogged).sort((a, b) => a.rank - b.rank);
        // What bounds the time that both logs cover.
        const ends = [fromMs, fromMs + 100_000].map((ms) => {
          const time = new Date(ms).toISOString();
          return {
            ...{
              kind: 'Event',
              apiVersion: 'audit.k8s.io/v1',
              level: 'Metadata',
              stage: 'ResponseComplete',
              verb: 'delete',
            },
            ...{ requestReceivedTimestamp: time, stageTimestamp: time },
          };
        });
        const report = await reconcile(logs, [...ends, ...sorted.map(({ event }) => event)]);
        const named = (list: string): readonly string[] => report[list].first.map(({ name }: Json) => name).sort();
        const meant = (list: string): readonly string[] =>
          requests.flatMap(({ fate }, number) => (fates[fate].split(', ').includes(list) ? [`p${number}`] : [])).sort();
        for (const list of [
          ...['missing', 'differs', 'unknown', 'unanswered', 'twice', 'again', 'failedOpen', 'unseen', 'unclear'],
        ])
          expect(`${list} ${named(list)}`).toBe(`${list} ${meant(list)}`);
        expect([report.known, report.errors]).toEqual([meant('known').length, meant('errors').length]);
        const { known, unknown, differs, unanswered, again, errors, twice, decisions } = report;
        expect(known + unknown.count + differs.count + unanswered.count + again.count + errors + twice.count).toBe(
          decisions,
        );
      }),
      { numRuns: 40 },
    );
  });
});
