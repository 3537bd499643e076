import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { noHash } from '../../../../src/audit/line.ts';
import { newSigningKey } from '../../../support/audit-log.ts';
import { flipped, placesOf } from '../../../support/json-places.ts';
import { recordHash } from '../../../support/record-hash.ts';
import { changed, relinked, resigned } from './forgery.ts';
import { callsOf, eventsOf, linesOf, type Reported, reconcile, verify } from './logs.ts';
import type { ProofRun } from './run.ts';

/** What there is to tamper with, and the key that was kept elsewhere. */
export interface Evidence {
  readonly run: ProofRun;
  readonly publicKey: string;
}

/** What verify says of one chain. */
interface Verdict {
  /** Of the break; empty without one. */
  readonly kind: string;
  /** From 1, in the file. */
  readonly line: number;
  readonly message: string;
  /** How the first boot begins. */
  readonly begins: string;
  readonly unsigned: number;
}

/** What a flipped byte of these may be, beside changed: a checkpoint then signs something else, and a start names another key, or none. */
const kindsOfChange: Readonly<Record<string, readonly string[]>> = {
  Checkpoint: ['changed', 'wrong signature', 'unknown key'],
  LogStart: ['changed', 'unknown key', 'unsigned'],
};
const isRecord = (line: string | undefined): boolean => JSON.parse(line ?? '{}').kind === 'AdmissionRecord';
const isCheckpoint = (line: string | undefined): boolean => JSON.parse(line ?? '{}').kind === 'Checkpoint';
const textOf = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
const around = 3;

/** Each thing that somebody can do to the files of a real log, on copies, and which of the two commands finds it. */
export function describeTampering(evidence: () => Evidence, timeoutMs: number): void {
  describe('what somebody does to the log of the replica that was killed', { timeout: timeoutMs }, () => {
    let directory: string;
    /** The whole chain, and its files in order. */
    let lines: readonly string[];
    let files: readonly string[];
    /** Of the time before the first kill, in which both logs agree; ends with a record that the API server names. */
    let calm: readonly string[];
    let others: readonly string[];
    let copies = 0;

    const put = (content: string | Buffer): string => {
      const file = join(directory, `${copies++ % 4}.log`);
      writeFileSync(file, content);
      return file;
    };

    async function verdictOf(on: string | Buffer | readonly string[], ...more: readonly string[]): Promise<Verdict> {
      const from = typeof on === 'string' || Buffer.isBuffer(on) ? [put(on)] : on;
      const { code, report } = await verify(from, '--public-key', evidence().publicKey, ...more);
      const [{ break: found, boots, unsigned, ends }] = report.chains;
      const kind = found?.kind ?? (ends.length > 0 ? 'ends' : '');
      expect(code).toBe(kind === '' ? 0 : 1);
      const [line, message] = [found?.place.line ?? 0, found?.message ?? ends.join('; ')];
      return { kind, line, message, begins: boots[0]?.begins ?? '', unsigned };
    }
    const verdict = (on: readonly string[], ...more: readonly string[]): Promise<Verdict> =>
      verdictOf(textOf(on), ...more);

    /** What reconcile names of the calm time: `missing 1`; empty where both logs agree. */
    async function named(content: string | readonly string[]): Promise<string> {
      const { run } = evidence();
      const ours = [put(typeof content === 'string' ? content : textOf(content)), ...others];
      const span = ['--since', run.since, '--until', run.quiet];
      return namedBy(await reconcile({ ours, theirs: run.theirs }, ...span));
    }

    function namedBy({ code, report }: Reported): string {
      const lists = ['missing', 'unknown', 'differs', 'twice', 'failedOpen', 'unseen'];
      const counts = lists.flatMap((list) => (report[list].count === 0 ? [] : [`${list} ${report[list].count}`]));
      expect(code).toBe(counts.length === 0 ? 0 : 1);
      return counts.join(', ');
    }

    /** Hashes that the API server's log names. */
    let known: ReadonlySet<string>;
    beforeAll(async () => {
      const { run, publicKey } = evidence();
      directory = `${run.theirs}.tampered`;
      mkdirSync(directory);
      const { report } = await verify(run.ours, '--public-key', publicKey);
      files = report.chains.find(({ replica }: { replica: string }) => replica === run.killed).files;
      others = run.ours.filter((file) => !files.includes(file));
      lines = files.flatMap(linesOf).map(({ text }) => text);
      const inTime = lines.filter((line) => JSON.parse(line).time <= run.quiet);
      known = new Set(eventsOf(run.theirs).flatMap((event) => callsOf(event).map(({ hash }) => hash)));
      // The last one may be of a further call of an update, whose hash the API server does not keep.
      calm = inTime.slice(0, inTime.findLastIndex((line) => isRecord(line) && known.has(recordHash(line))) + 1);
    });

    it('is nothing at first', async () => {
      expect(await verdict(lines, '--whole')).toMatchObject({ kind: '', unsigned: 0 });
      expect(await verdict(calm)).toMatchObject({ kind: '', begins: 'first' });
      expect([await named(lines), await named(calm)]).toEqual(['', '']);
      expect(files.length).toBeGreaterThan(2);
      expect(new Set(lines.map((line) => JSON.parse(line).kind))).toEqual(
        new Set([
          ...['LogStart', 'PolicyRecord', 'CertificateRecord', 'ConfigurationRecord'],
          ...['AdmissionRecord', 'Checkpoint', 'LogStop'],
        ]),
      );
    });

    it('a byte of any key or value flipped, in a line of any kind: verify says changed, and where', async () => {
      const wrong: string[] = [];
      let flips = 0;
      for (const index of samples(lines)) {
        const from = Math.max(0, index - around);
        const window = lines.slice(from, index + around);
        expect(await verdict(window)).toMatchObject({ kind: '' });
        const line = lines[index] ?? '';
        const kind: string = JSON.parse(line).kind;
        for (const place of placesOf(line)) {
          flips += 1;
          const at = index - from;
          const bytes = [textOf(window.slice(0, at)), flipped(line, place), `\n${textOf(window.slice(at + 1))}`];
          const said = await verdictOf(Buffer.concat(bytes.map((piece) => Buffer.from(piece))));
          // After the last line nothing stands that tells which of the last two it is.
          const places = index === lines.length - 1 ? [at, at + 1] : [at + 1];
          if (!(kindsOfChange[kind] ?? ['changed']).includes(said.kind) || !places.includes(said.line))
            wrong.push(`${kind} ${place.path}: ${said.kind} in line ${said.line} of ${at + 1}`);
        }
      }
      expect(wrong).toEqual([]);
      expect(flips).toBeGreaterThan(300);
    });

    it('a byte of any key or value of the last record flipped: verify, or else reconcile', async () => {
      const last = calm.at(-1) ?? '';
      // With the policy: without one reconcile may say that it compared only a part.
      const first = calm.slice(0, calm.findIndex((line) => JSON.parse(line).kind === 'PolicyRecord') + 1);
      const window = calm.slice(-around, -1);
      // Of the API server's log the one event: reading all of it for each place takes long.
      const theirs = `${put('')}.api`;
      const event = eventsOf(evidence().run.theirs).find((each) =>
        callsOf(each).some(({ hash }) => hash === recordHash(last)),
      );
      const own = Object.entries(event.annotations).filter(([, value]) => value === recordHash(last));
      writeFileSync(theirs, `${JSON.stringify({ ...event, annotations: Object.fromEntries(own) })}\n`);
      expect(namedBy(await reconcile({ ours: [put(textOf([...first, last]))], theirs }))).toBe('');
      const found = { verify: 0, reconcile: 0 };
      const wrong: string[] = [];
      for (const place of placesOf(last)) {
        const line = flipped(last, place).toString();
        const { kind } = await verdict([...window, line]);
        if (kind !== '') found.verify += 1;
        else if (
          /^(differs|missing) 1/.test(namedBy(await reconcile({ ours: [put(textOf([...first, line]))], theirs })))
        )
          found.reconcile += 1;
        else wrong.push(place.path);
      }
      expect(wrong).toEqual([]);
      expect(Math.min(found.verify, found.reconcile)).toBeGreaterThan(0);
    });

    it('a file cut off at any byte of its last record: verify says truncated, but where the whole record is gone: reconcile', async () => {
      const last = Buffer.from(calm.at(-1) ?? '');
      const window = Buffer.from(textOf(calm.slice(-around, -1)));
      const wrong: string[] = [];
      for (let length = 1; length <= last.length; length++) {
        const { kind, line } = await verdictOf(Buffer.concat([window, last.subarray(0, length)]));
        if (kind !== 'truncated' || line !== around) wrong.push(`${length} bytes: ${kind} in line ${line}`);
      }
      expect(wrong).toEqual([]);
      expect((await verdict(calm.slice(0, -1))).kind).toBe('');
      expect(await named(calm.slice(0, -1))).toBe('missing 1');
      for (const length of [1, Math.floor(last.length / 2), last.length - 1]) {
        expect(await named(`${textOf(calm.slice(0, -1))}${last.subarray(0, length)}`)).toBe('missing 1');
      }
    });

    it('the end of a log that ended in order cut off at any byte: verify; whole lines gone: verify --whole', async () => {
      const [stop, checkpoint] = lines.slice(-2) as [string, string];
      const window = lines.slice(-2 - around, -2);
      for (const [before, line] of [
        [window, stop],
        [[...window, stop], checkpoint],
      ] as const) {
        expect((await verdict(before, '--whole')).kind).toBe('ends');
        for (let length = 1; length <= line.length; length++) {
          const { kind } = await verdictOf(textOf(before) + line.slice(0, length));
          expect(`${length} ${kind}`).toBe(`${length} truncated`);
        }
      }
    });

    it('a line taken out, of any kind: verify says removed; a record: reconcile says missing, too', async () => {
      for (const index of samples(lines).filter((at) => at > 0 && at < lines.length - 1)) {
        expect(await verdict(lines.toSpliced(index, 1))).toMatchObject({ kind: 'removed', line: index + 1 });
      }
      const record = calm.findLastIndex(
        (line, index) => index < calm.length - 1 && isRecord(line) && known.has(recordHash(line)),
      );
      expect(await named(calm.toSpliced(record, 1))).toBe('missing 1');
    });

    it('the first line taken out: verify says that the log begins in the middle, and --whole takes it for a break', async () => {
      expect(await verdict(lines.slice(1))).toMatchObject({ kind: '', begins: 'in the middle' });
      expect((await verdict(lines.slice(1), '--whole')).kind).toBe('ends');
    });

    it('two lines swapped, side by side or far apart: verify says reordered', async () => {
      const boot = lines.findIndex((line) => JSON.parse(line).sequence === 1 && line !== lines[0]);
      for (const [one, other] of [
        [1, 2],
        [Math.floor(boot / 2), Math.floor(boot / 2) + 1],
        [2, boot - 2],
      ] as const) {
        const swapped = lines.with(one, lines[other] ?? '').with(other, lines[one] ?? '');
        expect(await verdict(swapped)).toMatchObject({ kind: 'reordered', line: one + 1 });
      }
    });

    it('a copy of a line, or a forged one: verify says inserted, reconcile twice or unknown', async () => {
      const record = calm.findLastIndex((line, index) => index < calm.length - around && isRecord(line));
      const own = lines[record] ?? '';
      for (const to of [record + 1, record + 2, 1]) {
        const copied = lines.toSpliced(to, 0, own);
        expect((await verdict(copied)).kind).toBe('inserted');
      }
      expect(await named(calm.toSpliced(record + 2, 0, own))).toBe('twice 1');
      const name = { objectRef: { ...JSON.parse(own).objectRef, name: 'never-asked' } };
      const [, forged = ''] = relinked([own, changed(own, name)]);
      expect((await verdict(lines.toSpliced(record + 1, 0, forged))).kind).toBe('inserted');
      expect(await named(calm.toSpliced(record + 1, 0, forged))).toBe('unknown 1');
      // At the end it is a line like any other, and the chain is whole.
      const [, added = ''] = relinked([calm.at(-1) ?? '', changed(own, name)]);
      expect((await verdict([...calm, added])).kind).toBe('');
      expect(await named([...calm, added])).toBe('unknown 1');
    });

    it('a rotated file taken away: verify says removed, and asks for the file; the oldest or the newest: --whole', async () => {
      for (const [index, file] of files.entries()) {
        const left = files.filter((other) => other !== file);
        const isEnd = index === 0 || index === files.length - 1;
        const { kind, message } = await verdictOf(left);
        expect(`${file} ${kind}`).toBe(`${file} ${isEnd ? '' : 'removed'}`);
        if (isEnd) expect((await verdictOf(left, '--whole')).kind).toBe('ends');
        else expect(message).toContain('is a rotated file missing?');
      }
      // Reconcile shows what a whole file of records was.
      const theirs = new Set(
        eventsOf(evidence().run.theirs)
          .flatMap(callsOf)
          .map(({ hash }) => hash),
      );
      const lost = calm.slice(-20).filter((line) => theirs.has(recordHash(line)));
      // The record of an update's further call, which no event names, may be taken for one of those that are gone, or be left over without it.
      const said = await named(calm.slice(0, -20));
      const [, missing, , differs = 0] = /^missing (\d+)(, unknown \d+)?(?:, differs (\d+))?$/.exec(said) ?? [];
      expect(`${said}: ${Number(missing) + Number(differs)}`).toBe(`${said}: ${lost.length}`);
    });

    it('a checkpoint replaced by one of another key: unknown key, or wrong signature under the old key’s name', async () => {
      const index = lines.findIndex(isCheckpoint);
      const own = lines[index] ?? '';
      const another = newSigningKey();
      for (const [keyId, kind] of [
        [another.keyId, 'unknown key'],
        [JSON.parse(own).keyId, 'wrong signature'],
      ] as const) {
        const forged = resigned(own, another, keyId);
        const rest = relinked([forged, ...lines.slice(index + 1)]);
        expect(await verdict(lines.with(index, forged))).toMatchObject({ kind, line: index + 1 });
        expect(await verdict([...lines.slice(0, index), ...rest])).toMatchObject({ kind, line: index + 1 });
      }
    });

    it('a checkpoint that signs something else put in its place: wrong signature', async () => {
      const [one, other] = lines.flatMap((line, index) => (isCheckpoint(line) ? [index] : [])) as [number, number];
      const { signature } = JSON.parse(lines[one] ?? '');
      const forged = changed(lines[other] ?? '', { signature });
      expect(await verdict(lines.with(other, forged))).toMatchObject({ kind: 'wrong signature', line: other + 1 });
    });

    it('the chain made anew after a change, or without a line: wrong signature at the next checkpoint', async () => {
      const index = calm.findIndex(isRecord);
      const next = lines.findIndex((line, at) => at > index && isCheckpoint(line));
      const { decision } = JSON.parse(lines[index] ?? '');
      const other = changed(lines[index] ?? '', { decision: decision === 'deny' ? 'allow' : 'deny' });
      const after = [...lines.slice(0, index), ...relinked([other, ...lines.slice(index + 1)])];
      expect(await verdict(after)).toMatchObject({ kind: 'wrong signature', line: next + 1 });
      const without = [...lines.slice(0, index - 1), ...relinked(lines.toSpliced(index, 1).slice(index - 1))];
      expect(await verdict(without)).toMatchObject({ kind: 'wrong signature', line: next });
    });

    it('the chain made anew, and no checkpoint left in it: verify counts what is not signed, --whole and reconcile find it', async () => {
      const index = calm.findIndex(isRecord);
      const { decision } = JSON.parse(lines[index] ?? '');
      const other = changed(lines[index] ?? '', { decision: decision === 'deny' ? 'allow' : 'deny' });
      const anew = (on: readonly string[]): readonly string[] => [
        ...on.slice(0, index),
        ...relinked([other, ...on.slice(index + 1).filter((line) => !isCheckpoint(line))]),
      ];
      const said = await verdict(anew(lines));
      expect([said.kind, said.unsigned]).toEqual([
        '',
        anew(lines).length - lines.slice(0, index).findLastIndex(isCheckpoint) - 1,
      ]);
      expect((await verdict(anew(lines), '--whole')).kind).toBe('ends');
      expect(await named(anew(calm))).toMatch(/^(missing|unknown|differs) /);
    });

    it('a log made up from the start by another key: unknown key', async () => {
      const another = newSigningKey();
      const { publicKey, keyId } = another;
      const start = changed(lines[0] ?? '', { publicKey, keyId, previous: noHash });
      const made = relinked([start, ...lines.slice(1)]);
      expect(await verdict(made)).toMatchObject({ kind: 'unknown key', line: 1 });
    });
  });
}

/** Lines to try: the first and last of each kind, an ordinary one of each decision and resource, and the middle of all. */
function samples(lines: readonly string[]): readonly number[] {
  const chosen = new Map<string, number>();
  for (const [index, line] of lines.entries()) {
    const { kind, decision = '', objectRef = {}, phase = '' } = JSON.parse(line);
    const what = `${kind} ${decision} ${phase} ${objectRef.resource ?? ''}`;
    if (!chosen.has(what)) chosen.set(what, index);
    chosen.set(`last ${kind}`, index);
  }
  return [...new Set([0, ...chosen.values(), Math.floor(lines.length / 2), lines.length - 1])].sort((a, b) => a - b);
}
