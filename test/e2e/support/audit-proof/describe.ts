import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { readApiEvent } from '../../../../src/audit/read/api-event.ts';
import type { ControlPlane } from '../../../cluster/control-plane.ts';
import { type BalancedInstallation, installBalanced, startCluster } from '../../../cluster/installation.ts';
import { runCli } from '../../../support/cli.ts';
import { kubeletPolicy } from '../policy.ts';
import { prepareWays } from '../ways.ts';
import {
  type ApiEventObject,
  callsOf,
  eventsOf,
  failedOpenOf,
  linesOf,
  type OurLine,
  type Reported,
  reconcile,
  verify,
} from './logs.ts';
import type { Sent } from './requests.ts';
import { type ProofRun, runProof, type Variant } from './run.ts';
import { describeTampering } from './tampering.ts';

/*
 * What docs/operations.md promises about a process that is killed: by default it loses the records of the last 10 ms, and under
 * `--audit-fsync always --audit-on-error deny` none whose answer went out.
 */
const variants: readonly Variant[] = [
  { name: 'usual', flags: [], mayLose: true },
  { name: 'strict', flags: ['--audit-fsync', 'always', '--audit-on-error', 'deny'], mayLose: false },
];

/** So that some files are left behind, whatever the number of requests, and checkpoints stand in each. */
const smallFiles = (requests: number): readonly string[] => [
  ...['--audit-log-max-size', `${Math.ceil(requests / 200) * 32}Ki`, '--audit-log-keep', '0'],
  ...['--audit-checkpoint-records', '25'],
];
/** By which a request that ended before a kill has its record: the 10 ms, and all that a loaded machine adds. */
const leewayMs = 2_000;

interface Named {
  readonly auditId: string;
  readonly detail: string;
  readonly place: Place;
}

interface Place {
  readonly file: string;
  readonly line: number;
}

const spanOf = (event: ApiEventObject): { receivedMs: number; doneMs: number } => ({
  receivedMs: Date.parse(event.requestReceivedTimestamp),
  doneMs: Date.parse(event.stageTimestamp),
});

/** Whether a webhook that may not be passed over could not be asked. */
const isRefused = ({ responseStatus }: ApiEventObject): boolean =>
  responseStatus.code === 500 && String(responseStatus.message).includes('failed calling webhook');

/** @param requests how many of each variant. */
export function describeAuditProof(requests: number, timeoutMs: number): void {
  let plane: ControlPlane;
  let installation: BalancedInstallation;
  let publicKey: string;
  const signingKey = (): string => join(plane.folder, 'signing.pem');

  beforeAll(async () => {
    plane = await startCluster(inject('binaries'));
    await prepareWays(plane);
    installation = await installBalanced(plane, { policy: kubeletPolicy() });
    publicKey = join(plane.folder, 'audit-key.pem');
  }, 120_000);

  afterAll(async () => {
    await installation?.close();
    await plane?.close();
  }, 60_000);

  const runs = new Map<string, ProofRun>();

  for (const variant of variants) {
    describe(`${requests} mixed requests to two replicas, one of them killed (${variant.name} settings)`, () => {
      let run: ProofRun;
      let lines: readonly OurLine[];
      let events: readonly ApiEventObject[];
      let report: Reported;
      let hashes: ReadonlySet<string>;

      beforeAll(async () => {
        const flags = [...variant.flags, ...smallFiles(requests), '--audit-signing-key', signingKey()];
        run = await runProof(plane, installation, { ...variant, flags }, requests);
        runs.set(variant.name, run);
        const { stdout } = await runCli(['log', 'key', '--signing-key', signingKey()]);
        writeFileSync(publicKey, stdout);
        lines = run.ours.flatMap(linesOf);
        hashes = new Set(lines.map(({ hash }) => hash));
        events = eventsOf(run.theirs).filter(({ requestReceivedTimestamp }) => requestReceivedTimestamp >= run.since);
        report = await reconcile(run, '--since', run.since);
      }, timeoutMs);

      const lost = (): readonly string[] =>
        events.flatMap(callsOf).flatMap(({ hash }) => (hashes.has(hash) ? [] : [hash]));
      const decisionsOf = (replica: string): number =>
        lines.filter(({ value }) => value.kind === 'AdmissionRecord' && value.replica === replica).length;

      it('were judged by both', () => {
        expect(run.sent.length).toBe(requests);
        for (const replica of [run.killed, run.other]) expect(decisionsOf(replica)).toBeGreaterThan(requests / 20);
      });

      it('each have their records, if they were in scope, and else none', () => {
        const byId = new Map(events.map((event) => [event.auditID, event]));
        const wrong = run.sent.flatMap((request) => {
          const why = whyWrong(request, byId.get(request.auditId));
          return why === undefined ? [] : [`${why}: ${JSON.stringify(request)}`];
        });
        expect(wrong).toEqual([]);
        const judged = run.sent.filter(({ by, code }) => by !== undefined && (code < 300 || code === 403));
        expect(judged.length).toBeGreaterThan(requests / 3);
      });

      it(variant.mayLose ? 'lost no record but of the last moment before a kill' : 'lost no record', () => {
        const late = events.filter(
          (event) =>
            callsOf(event).some(({ hash }) => !hashes.has(hash)) &&
            !run.kills.some(({ atMs }) => spanOf(event).doneMs > atMs - leewayMs && spanOf(event).receivedMs <= atMs),
        );
        expect(late).toEqual([]);
        if (variant.mayLose) expect(lost().length).toBeGreaterThan(0);
        else expect(lost()).toEqual([]);
      });

      it('are a whole chain of each replica, signed by the key, through every kill', async () => {
        const { code, stdout, report: verified } = await verify(run.ours, '--whole', '--public-key', publicKey);
        expect(`${code} ${code === 0 ? '' : stdout}`).toBe('0 ');
        const boots = new Map<string, readonly { begins: string; stopped: string }[]>(
          verified.chains.map((chain: { replica: string; boots: [] }) => [chain.replica, chain.boots]),
        );
        const told = (replica: string): readonly string[] =>
          (boots.get(replica) ?? []).map(({ begins, stopped }) => `${begins} ${stopped}`);
        const killed = run.kills.map((_, index) => (index === 0 ? 'first ' : 'linked '));
        expect(told(run.killed)).toEqual([...killed, 'linked SIGTERM']);
        expect(told(run.other)).toEqual(['first SIGTERM']);
      });

      it('had unfinished lines kept aside, if there were any', () => {
        for (const { value } of lines) {
          if (value.kind !== 'LogStart' || value.tornTail === null) continue;
          expect(statSync(value.tornTail.keptAs).size).toBe(value.tornTail.bytes);
        }
      });

      it('until nothing was killed, are those of the API server’s log: reconcile exits 0', async () => {
        const { code, stdout, report: calm } = await reconcile(run, '--since', run.since, '--until', run.quiet);
        expect(`${code} ${code === 0 ? '' : stdout}`).toBe('0 ');
        expect(calm.known).toBeGreaterThan(requests / 3);
        expect(calm.known + calm.again.count + calm.errors).toBe(calm.decisions);
      });

      it('around the kills, are reconciled but for what was lost, went unanswered or failed open, which is named', () => {
        const named = (list: string): readonly Named[] => report.report[list].first;
        expect(
          named('missing')
            .map(({ detail }) => detail)
            .sort(),
        ).toEqual([...lost()].sort());
        const open = events.filter((event) => failedOpenOf(event).length > 0);
        expect(
          named('failedOpen')
            .map(({ auditId }) => auditId)
            .sort(),
        ).toEqual(open.map(({ auditID }) => auditID).sort());
        const failed = [...open, ...events.filter(isRefused)];
        const unread = failed.filter((event) => {
          const read = readApiEvent(Buffer.from(JSON.stringify(event)));
          return read === undefined || read === 'bad' || read.unanswered.length === 0;
        });
        expect(unread).toEqual([]);
        const outside = failed.filter((event) => {
          const { receivedMs, doneMs } = spanOf(event);
          return !run.kills.some(({ atMs, backMs }) => doneMs >= atMs && receivedMs <= backMs);
        });
        expect(outside).toEqual([]);
        // Records of answers that did not arrive stand in boots that were killed.
        const unanswered = named('unanswered').map(({ place }) => lineAt(place));
        const last = lines.findLast(({ value }) => value.replica === run.killed)?.value.boot;
        expect(unanswered.filter(({ value }) => value.replica !== run.killed || value.boot === last)).toEqual([]);
        expect(unanswered.length).toBeLessThanOrEqual(failed.length);
        const byId = new Set(failed.map(({ auditID }) => auditID));
        expect(named('unanswered').filter(({ auditId }) => !byId.has(auditId))).toEqual([]);
        for (const list of ['unknown', 'differs', 'twice', 'unseen'])
          expect(`${list} ${report.report[list].count}`).toBe(`${list} 0`);
        const counts = {
          ...{ lines: lines.length, files: run.ours.length, kills: run.kills.length, failedOpen: open.length },
          ...{ refused: failed.length - open.length, lost: lost().length, unanswered: unanswered.length },
        };
        console.log(`${variant.name} settings: ${JSON.stringify(counts)}`);
      });

      const lineAt = ({ file, line }: Place): OurLine => {
        const found = lines.filter((entry) => entry.file === file)[line - 1];
        if (found === undefined) throw new Error(`no line ${line} in ${file}`);
        return found;
      };

      /** What a request's event lacks, or has too much. */
      const whyWrong = (request: Sent, event: ApiEventObject): string | undefined => {
        if (event === undefined) return 'no event';
        const { by, code, message } = request;
        const judged = callsOf(event).map(({ webhook }) => webhook);
        if (by === undefined) return judged.length === 0 ? undefined : 'out of scope, and judged';
        if (isRefused(event)) return undefined;
        // The request before it was refused.
        if (code === 404) return undefined;
        if (code >= 300 && code !== 409 && !message.includes('denied the request')) return 'refused by somebody else';
        const open = failedOpenOf(event).includes(`${by}.osmo-admission`);
        return judged.includes(by) || open ? undefined : `not judged by ${by}`;
      };
    });
  }

  describeTampering(() => {
    const run = runs.get('usual');
    if (run === undefined) throw new Error('nothing was run to tamper with');
    return { run, publicKey };
  }, timeoutMs);
}
