import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { apiEventOf, failedEventOf } from '../../support/api-event.ts';
import { createLog } from '../../support/audit-log.ts';
import { runCli } from '../../support/cli.ts';

/*
 * test/fixtures/api-audit: what a real API server logged at level Request, cut to what is read, and what the webhook logged meanwhile. At its end the
 * webhook was away: a labelled pod, a node and a change of a node's label went by.
 */

const fixture = join(import.meta.dirname, '..', '..', 'fixtures', 'api-audit');
// biome-ignore lint/suspicious/noExplicitAny: events and reports as JSON.
type Json = any;
const linesOf = (name: string): readonly string[] => readFileSync(join(fixture, name), 'utf8').trimEnd().split('\n');
const realEvents: readonly Json[] = linesOf('request.jsonl').map((line) => JSON.parse(line));

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'reconcile-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

async function reconcile(ours: readonly string[], events: readonly Json[], ...args: readonly string[]): Promise<Json> {
  const [log, api] = [join(directory, 'audit.log'), join(directory, 'api.log')];
  writeFileSync(log, ours.map((line) => `${line}\n`).join(''));
  writeFileSync(api, events.map((event) => `${JSON.stringify(event)}\n`).join(''));
  const { code, stdout, stderr } = await runCli(['log', 'reconcile', log, '--api-audit', api, '-o', 'json', ...args]);
  return { code, stderr, ...JSON.parse(stdout) };
}

const namesOf = ({ first }: Json): readonly string[] => first.map(({ name }: Json) => name);
/** As if the webhook had not been asked about it. */
const unasked = (event: Json): Json => ({
  ...event,
  annotations: Object.fromEntries(
    Object.entries(event.annotations).filter(([key]) => !key.includes('.osmo-admission/')),
  ),
});
const unaskedAll = realEvents.map(unasked);
const atMetadata = (events: readonly Json[]): readonly Json[] =>
  events.map(({ requestObject: _body, ...event }) => ({ ...event, level: 'Metadata' }));

describe('the logs of a real API server', () => {
  it('agree, but for what failed open', async () => {
    const report = await reconcile(linesOf('webhook.jsonl'), realEvents);
    expect(report.code).toBe(1);
    expect(report.known).toBe(report.decisions);
    expect(namesOf(report.failedOpen)).toEqual(['fail-open', 'while-away', 'compute-1']);
    for (const list of ['missing', 'unknown', 'differs', 'twice', 'unseen'])
      expect(`${list} ${report[list].count}`).toBe(`${list} 0`);
    const { code, report: before } = await untilAway();
    expect([code, before.failedOpen.count]).toEqual([0, 0]);
  });

  async function untilAway(): Promise<{ code: number; report: Json }> {
    const { requestReceivedTimestamp } = realEvents.find(({ objectRef }) => objectRef.name === 'fail-open');
    const report = await reconcile(linesOf('webhook.jsonl'), realEvents, '--until', requestReceivedTimestamp);
    return { code: report.code, report };
  }

  it('show at level Request which creations should have been asked about, by their labels too', async () => {
    const report = await reconcile(linesOf('webhook.jsonl'), unaskedAll);
    const unseen = namesOf(report.unseen);
    expect(unseen).toEqual(expect.arrayContaining(['good', 'dry', 'elsewhere', 'j', 'compute-1', 'gpu-1']));
    // Refused, or none of ours: nothing went by.
    for (const name of ['bad', 'invalid', 'foreign']) expect(unseen).not.toContain(name);
    expect(report.unknown.count).toBe(report.decisions);
  });

  it('show at level Metadata those of workflow namespaces and nodes; the rest is said to be unclear', async () => {
    const report = await reconcile(linesOf('webhook.jsonl'), atMetadata(unaskedAll));
    expect(namesOf(report.unseen)).toEqual(expect.arrayContaining(['good', 'dry', 'j', 'compute-1']));
    expect(namesOf(report.unseen)).not.toContain('elsewhere');
    expect(namesOf(report.unclear)).toEqual(expect.arrayContaining(['elsewhere', 'foreign']));
  });

  it('tell apart at level Request the updates that touch nothing judged', async () => {
    const updates = (events: readonly Json[]): readonly Json[] => events.filter(({ verb }) => verb === 'patch');
    const at = async (events: readonly Json[]): Promise<number> =>
      (await reconcile(linesOf('webhook.jsonl'), updates(events))).unclear.count;
    const went = updates(unaskedAll).filter(({ responseStatus }) => responseStatus.code === 200);
    const judged = went.filter(({ requestObject }) =>
      /"(taints|labels|schedulingGates)":/.test(JSON.stringify(requestObject)),
    );
    // The label `a` of a pod is none that makes a workflow pod.
    const foreign = judged.filter(
      ({ objectRef, requestObject }) => objectRef.resource === 'pods' && requestObject.metadata?.labels?.a,
    );
    expect([judged.length > 3, foreign.length]).toEqual([true, 1]);
    const open = judged.filter((event) => Object.keys(event.annotations).some((key) => key.startsWith('failed-open')));
    expect(await at(unaskedAll)).toBe(judged.length - foreign.length - open.length);
    // The status of a pod is judged for its annotations, of a Job for nothing.
    expect(await at(atMetadata(unaskedAll))).toBeGreaterThan(await at(unaskedAll));
  });

  it('cannot be held against a scope where no policy is known, and says so; --config gives one', async () => {
    const ours = linesOf('webhook.jsonl').filter((line) => !line.includes('"kind":"PolicyRecord"'));
    expect(await reconcile(ours, unaskedAll)).toMatchObject({ scope: false, unseen: { count: 0 } });
    const policy = join(directory, 'policy.yaml');
    writeFileSync(
      policy,
      'apiVersion: osmo-admission/v1alpha1\nkind: AdmissionPolicy\nworkflowPods: {namespaces: [default]}\n',
    );
    const { scope, unseen } = await reconcile(ours, atMetadata(unaskedAll), '--config', policy);
    expect([scope, namesOf(unseen).includes('foreign'), namesOf(unseen).includes('dry')]).toEqual([true, true, false]);
  });

  it('name lines that are no events, and exit 2', async () => {
    const { code, stderr } = await reconcile(linesOf('webhook.jsonl'), [...realEvents.slice(0, 20), { kind: 'Pod' }]);
    expect([code, stderr.includes('api.log:21')]).toEqual([2, true]);
  });
});

const podRef = (name: string): object => ({
  objectRef: { apiGroup: '', apiVersion: 'v1', resource: 'pods', subresource: '', namespace: 'osmo-workflows', name },
});

describe('whatever is done to a log', () => {
  const fates = ['kept', 'removed', 'changed', 'event lost'] as const;

  it('is named, and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...fates), { minLength: 1, maxLength: 30 }), async (all) => {
        const log = createLog();
        log.start();
        const lines = all.map((_, index) => log.decide(podRef(`p${index}`)));
        log.stop();
        // The first and last event bound the time that is compared.
        const ends = [
          apiEventOf(lines[0] ?? '', { annotations: {} }),
          apiEventOf(lines.at(-1) ?? '', { annotations: {} }),
        ];
        const events = lines.filter((_, index) => all[index] !== 'event lost').map((line) => apiEventOf(line));
        const ours = log.lines.flatMap((line) => {
          const fate = all[lines.indexOf(line)];
          return fate === 'removed' ? [] : [fate === 'changed' ? line.replace('"allow"', '"deny"') : line];
        });
        const { missing, unknown, differs, known } = await reconcile(ours, [...ends, ...events]);
        const named = (fate: string): readonly string[] =>
          all.flatMap((each, index) => (each === fate ? [`p${index}`] : []));
        expect(namesOf(missing)).toEqual(named('removed'));
        expect(namesOf(differs)).toEqual(named('changed'));
        expect(namesOf(unknown)).toEqual(named('event lost'));
        expect(known).toBe(named('kept').length);
      }),
      { numRuns: 40 },
    );
  });

  it('declared as lost is counted apart; so are errors, and what only one log has the time of', async () => {
    const log = createLog();
    log.start();
    const before = log.decide(podRef('before'));
    const first = log.decide(podRef('first'));
    const at = log.time();
    log.lose(1);
    log.decide({ ...podRef('failed'), decision: 'error', error: 'no answer' });
    const last = log.decide(podRef('last'));
    log.decide(podRef('after'));
    const lost = apiEventOf(first, { annotations: { 'pods.validate.osmo-admission/record-hash': 'f'.repeat(64) } });
    const events = [apiEventOf(first), { ...lost, requestReceivedTimestamp: at, stageTimestamp: at }, apiEventOf(last)];
    const report = await reconcile(log.lines, events);
    expect(report).toMatchObject({ code: 0, lost: 1, errors: 1, known: 2, outside: { decisions: 2, events: 0 } });
    const old = '2026-11-24T00:00:00.000Z';
    const earlier = { ...apiEventOf(before), requestReceivedTimestamp: old, stageTimestamp: old };
    expect((await reconcile(log.lines, [...events, earlier])).outside.events).toBe(1);
  });

  it('with further calls of an update has records that no event names, but a creation has none', async () => {
    const log = createLog();
    log.start();
    const update = log.decide({ ...podRef('p'), verb: 'update' });
    log.decide({ ...podRef('p'), verb: 'update' });
    const create = log.decide(podRef('q'));
    log.decide(podRef('q'));
    const stageTimestamp = log.time();
    const { again, unknown } = await reconcile(log.lines, [
      apiEventOf(update, { stageTimestamp }),
      apiEventOf(create, { stageTimestamp }),
    ]);
    expect([namesOf(again), namesOf(unknown)]).toEqual([['p'], ['q']]);
  });

  it('is not held for what happened outside the time that is compared', async () => {
    const log = createLog();
    log.start();
    const first = log.decide(podRef('first'));
    const line = log.decide(podRef('p'));
    log.decide(podRef('never-asked'));
    // Just after that time somebody made a pod by generateName, of which no record is there.
    const [requestReceivedTimestamp, hash] = [log.time(), 'f'.repeat(64)];
    const later = apiEventOf(line, {
      ...{
        objectRef: { ...Object(podRef('')).objectRef },
        annotations: { 'pods.validate.osmo-admission/record-hash': hash },
      },
      ...{ requestReceivedTimestamp, stageTimestamp: requestReceivedTimestamp },
    });
    const events = [apiEventOf(first), apiEventOf(line), later];
    const report = await reconcile(log.lines, events, '--until', requestReceivedTimestamp);
    expect([namesOf(report.unknown), report.differs.count, report.outside.events]).toEqual([['never-asked'], 0, 1]);
  });

  const hashKey = 'pods.validate.osmo-admission/record-hash';
  const edited = (line: string): string => line.replace('"allow"', '"deny"');

  /** Two requests that look alike, the second of which got no answer, at the end of a boot. */
  function alike(over: { readonly user?: string; readonly inOrder?: boolean } = {}): Readonly<
    Record<'first' | 'second', string>
  > & {
    readonly lines: readonly string[];
    readonly events: readonly Json[];
  } {
    const log = createLog();
    log.start();
    const first = log.decide(podRef('p'));
    const second = log.decide(podRef('p'));
    if (over.inOrder === true) log.stop();
    log.start();
    const last = log.decide(podRef('last'));
    const user = { username: over.user ?? 'alice-the-user' };
    const events = [apiEventOf(first), failedEventOf(second, 'refused', { user }), apiEventOf(last)];
    return { first, second, lines: log.lines, events };
  }

  for (const how of ['open', 'refused'] as const) {
    it(`with a record whose answer did not arrive, as the API server says (${how}), is not held to differ from a lost one that looks alike`, async () => {
      const { first, second, lines, events } = alike();
      const theirs = events.with(1, failedEventOf(second, how));
      for (const order of [theirs, theirs.toReversed()]) {
        const report = await reconcile(
          lines.filter((line) => line !== first),
          order,
        );
        expect(report).toMatchObject({ missing: { count: 1 }, differs: { count: 0 }, unknown: { count: 0 } });
        expect(namesOf(report.unanswered)).toEqual(['p']);
        expect(report.missing.first[0].detail).toBe(events[0].annotations[hashKey]);
        expect(report.unanswered.first[0].auditId).toBe(theirs[1].auditID);
        expect(report.code).toBe(1);
      }
      const whole = await reconcile(lines, theirs);
      expect(whole).toMatchObject({ code: how === 'open' ? 1 : 0, unanswered: { count: 1 }, unknown: { count: 0 } });
    });
  }

  it('with a record changed whose request got an answer, says so, also beside one that got none', async () => {
    const { first, lines, events } = alike();
    const changed = lines.map((line) => (line === first ? edited(line) : line));
    const { code, differs, missing, unknown, unanswered } = await reconcile(changed, events);
    expect([code, missing.count, unknown.count]).toEqual([1, 0, 0]);
    expect(differs.first.map(({ place }: Json) => place.line)).toEqual([2]);
    expect(unanswered.first.map(({ place }: Json) => place.line)).toEqual([3]);
  });

  it('with a record changed, and the unanswered one beside it taken out, still names what the API server knows', async () => {
    const { first, second, lines, events } = alike();
    const ours = lines.flatMap((line) => (line === second ? [] : [line === first ? edited(line) : line]));
    const { code, differs, missing } = await reconcile(ours, events);
    expect([code, missing.count + differs.count]).toEqual([1, 1]);
  });

  it('is held to differ where the boot ended in order: then its last requests were answered', async () => {
    const { first, lines, events } = alike({ inOrder: true });
    const { differs, unanswered } = await reconcile(
      lines.filter((line) => line !== first),
      events,
    );
    expect([differs.count, unanswered.count]).toEqual([1, 0]);
  });

  it('has a record unanswered only where a call of its webhook failed for the same user’s request', async () => {
    const { lines, events } = alike({ user: 'somebody-else' });
    expect(await reconcile(lines, events)).toMatchObject({ unknown: { count: 1 }, unanswered: { count: 0 } });
    const { second } = alike();
    const others = [
      // Refused by another webhook, by ours of the other phase, by the storage, or of itself.
      ...['pods.validate.example.com', 'pods.mutate.osmo-admission'].map(
        (name) => `failed calling webhook "${name}": EOF`,
      ),
      'etcdserver: request timed out',
      `admission webhook "x" denied the request: failed calling webhook "pods.validate.osmo-admission"`,
    ];
    for (const message of others) {
      const theirs = events.with(1, failedEventOf(second, 'refused', { responseStatus: { code: 500, message } }));
      expect(await reconcile(lines, theirs)).toMatchObject({ unknown: { count: 1 }, unanswered: { count: 0 } });
    }
  });

  it('has a record unanswered in a boot that ended in order only if it was made while that request was under way', async () => {
    const { second, lines, events } = alike({ inOrder: true });
    expect(await reconcile(lines, events)).toMatchObject({ code: 0, unknown: { count: 0 }, unanswered: { count: 1 } });
    const time = new Date(Date.parse(JSON.parse(second).time) + 1_000).toISOString();
    const later = failedEventOf(second, 'refused', { requestReceivedTimestamp: time, stageTimestamp: time });
    const { code, unknown } = await reconcile(lines, events.with(1, later));
    expect([code, unknown.count]).toEqual([1, 1]);
  });

  it('has one record for each call that failed, not more', async () => {
    const { second, lines, events } = alike();
    const { unknown, unanswered } = await reconcile([...lines, edited(second)], events);
    expect([unknown.count, unanswered.count]).toEqual([1, 1]);
  });

  it('with a record that stands there twice says so', async () => {
    const log = createLog();
    log.start();
    const line = log.decide(podRef('p'));
    const { code, twice } = await reconcile([...log.lines, line], [apiEventOf(line)]);
    expect([code, namesOf(twice)]).toEqual([1, ['p']]);
  });
});

describe('what was not compared is no agreement', () => {
  const written = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const textOf = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
  const inText = (ours: string, theirs: string, ...args: readonly string[]) =>
    runCli(['log', 'reconcile', written('o.log', ours), '--api-audit', written('t.log', theirs), ...args]);
  const real = textOf(linesOf('request.jsonl'));

  it.each([
    ['a log without a line', '', real, 1, 'the log holds no line'],
    ['an API server’s log without an event', textOf(linesOf('webhook.jsonl')), '', 1, 'holds no event of an answer'],
    ['a list of events', textOf(linesOf('webhook.jsonl')), '{"kind":"EventList","items":[]}\n', 2, 'holds no event'],
  ])('%s: nothing was compared, and why', async (_, ours, theirs, exit, why) => {
    const { code, stdout } = await inText(ours, theirs);
    expect([code, stdout.includes('the logs agree')]).toEqual([exit, false]);
    expect(stdout).toContain('nothing was compared: ');
    expect(stdout).toContain(why);
  });

  it('a log that holds no decision and no policy: nothing was compared', async () => {
    const log = createLog();
    log.start();
    const event = apiEventOf(log.decide(podRef('p')), { verb: 'get', annotations: {} });
    const { code, stdout } = await inText(textOf(log.lines.slice(0, 1)), `${JSON.stringify(event)}\n`);
    expect([code, stdout.includes('nothing was compared: the log holds no decision, and no policy')]).toEqual([
      1,
      true,
    ]);
  });

  it('two logs of different times: nothing was compared', async () => {
    const log = createLog({ fromMs: Date.UTC(2027, 0, 1) });
    log.start();
    log.decide(podRef('p'));
    const { code, stdout } = await inText(log.text(), real);
    expect([code, stdout.includes('nothing was compared: no time is in both logs')]).toEqual([1, true]);
  });

  it('the last lines of a log alone agree only as far as they were compared: other records are not there, and no policy', async () => {
    const { code, verdict, uncovered, unscoped } = await reconcile(linesOf('webhook.jsonl').slice(-2), realEvents);
    // What failed open at the end is named first.
    expect([code, verdict]).toEqual([1, 'differ']);
    expect(uncovered.events).toBeGreaterThan(20);
    const whole = await inText(textOf(linesOf('webhook.jsonl').slice(-2)), real);
    expect(whole.stdout).toMatch(/do not agree: .*; not compared were .*events before the log begins/);
    const before = realEvents.find(({ objectRef }) => objectRef.name === 'fail-open').requestReceivedTimestamp;
    const until = linesOf('webhook.jsonl')
      .filter((line) => JSON.parse(line).time < before)
      .slice(-2);
    const { stdout, ...rest } = await inText(textOf(until), real, '--until', before);
    expect([rest.code, stdout.includes('the logs agree as far as they were compared, which is not all: ')]).toEqual([
      3,
      true,
    ]);
    expect(stdout).toMatch(/\d+ events before the log begins that name calls of the webhook/);
    expect(unscoped).toBeGreaterThanOrEqual(0);
  });

  it('requests from a time of which no policy is known are counted: nobody can say what should have been asked', async () => {
    const ours = linesOf('webhook.jsonl').filter((line) => !line.includes('"kind":"PolicyRecord"'));
    const quiet = realEvents.map((event) => (event.verb === 'create' ? event : { ...event, annotations: {} }));
    const away = quiet.filter(
      ({ annotations }) => !Object.keys(annotations).some((key) => key.startsWith('failed-open')),
    );
    const until = [
      '--until',
      realEvents.find(({ objectRef }) => objectRef.name === 'fail-open').requestReceivedTimestamp,
    ];
    const report = await reconcile(ours, away, ...until);
    expect(report.unscoped).toBeGreaterThan(0);
    expect((await reconcile(linesOf('webhook.jsonl'), away, ...until)).unscoped).toBe(0);
  });

  it('most decisions outside the time of the API server’s log: they agree as far as they were compared', async () => {
    const log = createLog();
    log.start();
    const lines = Array.from({ length: 5 }, (_, index) => log.decide(podRef(`p${index}`)));
    const few = lines.slice(0, 1).map((line) => apiEventOf(line));
    const { code, verdict } = await reconcile(log.lines, few);
    expect([code, verdict]).toEqual([3, 'agree as far as compared']);
    const most = lines.slice(0, 4).map((line) => apiEventOf(line));
    expect((await reconcile(log.lines, most)).code).toBe(0);
  });
});

describe('a log that is forged', () => {
  const hashKey = 'pods.validate.osmo-admission/record-hash';

  it('declares one line as lost over all its time: one call without a record is taken for it, the others are missing', async () => {
    const log = createLog();
    log.start();
    const [from, before] = [log.time(), 'e'.repeat(64)];
    const taken = Array.from({ length: 6 }, (_, index) => log.decide(podRef(`p${index}`)));
    const last = log.decide(podRef('last'));
    log.add({
      ...{ kind: 'GapRecord', time: log.time(), sink: 'file', lost: 1, firstSequence: 2, lastSequence: 99 },
      ...{ before, from, to: log.time(), why: 'no space left on device' },
    });
    const events = [...taken, last].map((line) => apiEventOf(line));
    const ours = log.lines.filter((line) => !taken.includes(line));
    const { code, lost, missing } = await reconcile(ours, events);
    expect([code, lost, missing.count]).toEqual([1, 1, 5]);
    // The same line again declares nothing more.
    const twice = await reconcile([...ours, ours.at(-1) ?? ''], events);
    expect([twice.lost, twice.missing.count]).toEqual([1, 5]);
  });

  it('hides no record by a time that cannot be read', async () => {
    const log = createLog();
    log.start();
    const [first, last] = [log.decide(podRef('first')), log.decide(podRef('last'))];
    const madeUp = log.decide({ ...podRef('made-up'), time: 'yesterday' });
    const { code, unknown, decisions } = await reconcile(
      log.lines,
      [first, last].map((line) => apiEventOf(line)),
    );
    expect([code, namesOf(unknown), decisions]).toEqual([1, ['made-up'], 3]);
    expect(madeUp).toContain('yesterday');
  });

  it('takes no policy for the scope whose text has another digest, and names it', async () => {
    const log = createLog();
    log.start();
    log.policy({ policyText: 'apiVersion: osmo-admission/v1alpha1\nkind: AdmissionPolicy\n' });
    const lines = [log.decide(podRef('a')), log.decide(podRef('b'))];
    const events = [...lines.map((line) => apiEventOf(line)), apiEventOf(lines[1] ?? '', { annotations: {} })];
    const { code, scope, unscoped, stderr } = await reconcile(log.lines, events);
    expect([code, scope, unscoped]).toEqual([2, false, 1]);
    expect(stderr).toContain('audit.log:2: is no record of a policy that has the digest which it names');
  });

  it('has no span by an event without a time: that is none', async () => {
    const log = createLog();
    log.start();
    const lines = [log.decide(podRef('a')), log.decide(podRef('b'))];
    const events = lines.map((line) => apiEventOf(line));
    const { code, outside } = await reconcile(log.lines, [
      ...events,
      apiEventOf(lines[0] ?? '', { stageTimestamp: 'soon', annotations: { [hashKey]: 'f'.repeat(64) } }),
    ]);
    expect([code, outside.events]).toEqual([2, 0]);
  });
});

describe('the API server’s log given twice, under two names', () => {
  it('counts each event once, and says so', async () => {
    const theirs = realEvents.map((event) => `${JSON.stringify(event)}\n`).join('');
    const [log, one, other] = ['o.log', 'one.log', 'other.log'].map((name) => join(directory, name));
    writeFileSync(
      log ?? '',
      linesOf('webhook.jsonl')
        .map((line) => `${line}\n`)
        .join(''),
    );
    for (const file of [one, other]) writeFileSync(file ?? '', theirs);
    const once = await runCli(['log', 'reconcile', log ?? '', '--api-audit', one ?? '', '-o', 'json']);
    const args = ['log', 'reconcile', log ?? '', '--api-audit', one ?? '', '--api-audit', other ?? ''];
    const twice = JSON.parse((await runCli([...args, '-o', 'json'])).stdout);
    expect(twice).toEqual({ ...JSON.parse(once.stdout), repeated: twice.repeated });
    expect(twice.repeated).toBeGreaterThan(20);
    expect((await runCli(args)).stdout).toContain('events that were given more than once: each was taken once');
  });

  it('keeps both of two requests that a client gave one audit ID', async () => {
    const log = createLog();
    log.start();
    const line = log.decide(podRef('p'));
    const other = { auditID: 'p', annotations: { 'pods.validate.osmo-admission/record-hash': 'f'.repeat(64) } };
    const { missing, repeated } = await reconcile(log.lines, [apiEventOf(line), apiEventOf(line, other)]);
    expect([missing.count, repeated]).toEqual([1, 0]);
  });
});
