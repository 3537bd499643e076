import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { objects, text } from '../../src/audit/read/entry.ts';
import { compileQuery } from '../../src/audit/read/query.ts';
import { parseQuery, termText } from '../../src/report/client/query.ts';
import { parseRoute, routeHash } from '../../src/report/client/route.ts';
import { type Order, selectRows } from '../../src/report/client/select.ts';
import type { EncodedRecords } from '../../src/report/encode.ts';
import { recordsHref } from '../../src/report/links.ts';
import { createCounter, createSampler } from '../../src/report/sample.ts';
import { createLog } from '../support/audit-log.ts';
import { reportLog } from '../support/report-log.ts';
import { encode, indexOf, inflated, linesOf } from './read.ts';

const latest: Order = { key: 'time', descending: true };

describe('the records of the page', async () => {
  const log = await reportLog({ decisions: 1_500 });
  const lines = linesOf(log);
  const records = encode(lines);
  const index = indexOf(records);
  const everything = {
    kind: 'AdmissionRecord',
    fromMs: Number.NEGATIVE_INFINITY,
    toMs: Number.POSITIVE_INFINITY,
    exempted: false,
  };

  it('are the log’s, byte for byte', () => {
    expect(records.blocks.map((block) => inflated(block)).join('\n')).toBe(log.trimEnd());
    expect(records).toMatchObject({ count: lines.length, withoutText: 0 });
  });

  it('are the same bytes for the same log', () => expect(encode(lines)).toEqual(records));

  it.each([
    ['decision:deny', { decision: 'deny' }],
    ['user:*worker verb:create', { user: '*worker', verb: 'create' }],
    ['rule:node-conformance enforcement:warn', { rule: 'node-conformance', enforcement: 'warn' }],
    ['rule:operator-node-guard reason:to*', { rule: 'operator-node-guard', reason: 'to*' }],
    ['exemption:*', { exempted: true }],
    ['resource:nodes phase:validate', { resource: 'nodes', phase: 'validate' }],
    ['namespace:osmo-* name:*-1*', { namespace: 'osmo-*', name: '*-1*' }],
    ['kind:PolicyRecord', { kind: 'PolicyRecord' }],
    [
      'since:2026-11-01T00:00Z until:2026-11-05T00:00:00.001Z',
      { fromMs: Date.UTC(2026, 10, 1), toMs: Date.UTC(2026, 10, 5) },
    ],
  ])('%s selects what "log query" does', (typed, query) => {
    const asked = compileQuery({ ...everything, ...query });
    const expected = lines.flatMap((line, row) => (asked(line) ? [row] : []));
    expect(expected.length).toBeGreaterThan(0);
    expect([...selectRows(index, typed, latest)].sort((a, b) => a - b)).toEqual(expected);
  });

  it('a word is looked for everywhere, - means not, and nothing typed is an error', () => {
    const all = selectRows(index, '', latest).length;
    const nodes = selectRows(index, 'nodes', latest).length;
    expect(selectRows(index, '-nodes', latest)).toHaveLength(all - nodes);
    expect(selectRows(index, 'NODES', latest)).toHaveLength(nodes);
    for (const typed of ['"', 'user:', '-', '\\', 'user:"a', '((', 'since:never', 'line:x', 'nofield:x', '*']) {
      expect(selectRows(index, typed, latest).length).toBeLessThanOrEqual(all);
    }
  });

  it('are asked for by a time as the page shows it, which is UTC', () => {
    const at = (typed: string): readonly number[] => selectRows(index, typed, latest);
    expect(at('since:"2026-11-05 00:00:00.000"')).toEqual(at('since:2026-11-05T00:00:00Z'));
    expect(at('since:2026-11-05T00:00')).toEqual(at('since:2026-11-05T00:00:00Z'));
  });

  it('come in the order that is asked for', () => {
    const times = (order: Order) => selectRows(index, '', order).map((row) => index.columns.time[row] ?? 0);
    expect(times(latest)).toEqual(times({ key: 'time', descending: false }).toReversed());
    const users = selectRows(index, '', { key: 'user', descending: false }).map(
      (row) => index.texts[index.columns.user[row] ?? 0] ?? '',
    );
    expect(users).toEqual(users.toSorted());
  });
});

describe('what is typed', () => {
  it.each(['alice', 'a b', 'a"b', 'a\\b', '*', 'x*y', '', 'user:bob', '-x', '⟨', 'a\u202eb'])(
    'a link to %j finds just that',
    (value) => {
      const [term, ...rest] = parseQuery(termText('user', value));
      expect(rest).toEqual([]);
      expect(term).toMatchObject({ field: 'user', value, negated: false });
      // A star in a name is a star.
      if (value.includes('*')) expect(term?.quoted).toBe(true);
    },
  );

  it('counts case in quotes alone', () => {
    const log = createLog();
    log.start();
    for (const username of ['alice', 'Alice', 'ALICE']) log.decide({ user: { username, groups: [] } });
    const index = indexOf(encode(linesOf(log.text())));
    expect(selectRows(index, 'user:alice', latest)).toHaveLength(3);
    expect(selectRows(index, termText('user', 'Alice'), latest)).toEqual([2]);
  });

  it('finds a name with half of a pair of surrogates, which no address can hold', () => {
    const log = createLog();
    log.start();
    log.decide({ user: { username: 'half-a-pair', groups: [] } });
    const index = indexOf(encode(linesOf(log.text().replaceAll('half-a-pair', 'x\\ud800'))));
    const user = index.texts[index.columns.user[1] ?? 0] ?? '';
    expect(user).toBe('x⟨U+D800⟩');
    const { query } = parseRoute(recordsHref({ user: 'x\ud800' }));
    expect(selectRows(index, query, latest)).toEqual([1]);
  });

  it('is kept by the address', () => {
    const route = {
      view: 'decisions',
      query: 'user:"a b" -x & ü',
      order: { key: 'user', descending: true },
      page: 3,
    } as const;
    expect(parseRoute(routeHash(route))).toEqual(route);
    expect(parseRoute('#decisions?sort=nothing&page=-1')).toMatchObject({ order: latest, page: 1 });
  });
});

describe('records that are forged', () => {
  const room = { bytes: 600_000, textLength: 50_000 };
  const sizeOf = ({ index, blocks }: EncodedRecords): number =>
    blocks.reduce((sum, block) => sum + block.length, index.length);

  it('are there by their columns where they are too long, and the page stays small', () => {
    const log = createLog();
    log.start();
    for (let i = 0; i < 1_100; i++) log.decide({ user: { username: randomBytes(300).toString('base64'), groups: [] } });
    log.decide({ user: { username: 'x'.repeat(5_000_000), groups: [] } });
    const records = encode(linesOf(log.text()), { ...room, textLength: 1_000_000 });
    expect(sizeOf(records)).toBeLessThan(room.bytes);
    expect(records.count).toBe(1_102);
    expect(records.withoutText).toBe(1_102 - 512);
    expect(records.blocks.map((block) => block === '')).toEqual([false, true, true]);
  });

  it('with names as long as they may be, each another, leave room', () => {
    const log = createLog();
    log.start();
    for (let i = 0; i < 500; i++) log.decide({ user: { username: `${i}`.padStart(250, 'x'), groups: [] } });
    const index = indexOf(encode(linesOf(log.text()), room));
    expect(index.texts.join('').length).toBeLessThanOrEqual(room.textLength + 30);
    expect(index.texts[index.columns.user[499] ?? 0]).toBe('(no room in the page)');
  });

  it('with more findings and exemptions than there is room for, leave room', () => {
    const log = createLog();
    log.start();
    for (let i = 0; i < 100; i++) {
      const many = Array.from({ length: 100 }, (_, at) => `${i} ${at}`.padStart(100, 'x'));
      log.decide({
        findings: many.map((reason) => ({ rule: 'r', reason, enforcement: 'enforce', field: '', message: '' })),
        exemptions: many.map((reason) => ({ reason, rules: [] })),
      });
    }
    const index = indexOf(encode(linesOf(log.text()), room));
    expect(JSON.stringify([index.texts, index.findings, index.exemptions]).length).toBeLessThan(
      room.textLength + 1_000,
    );
    expect(index.findings[index.columns.finding[99] ?? 0]).toEqual([['(no room in the page)', '', '']]);
  });
});

describe('a sample', () => {
  const log = createLog();
  log.start();
  for (let i = 0; i < 1_000; i++)
    log.decide(
      i % 100 === 7 ? { decision: 'deny' } : i % 100 === 8 ? { exemptions: [{ reason: 'r', rules: [] }] } : {},
    );
  log.stop();
  const lines = linesOf(log.text());
  const sampled = (limit: number) => {
    const counter = createCounter();
    for (const line of lines) counter.add(line);
    const sampling = counter.sampling(limit);
    return { sampling, kept: lines.filter(createSampler(sampling)) };
  };

  it('is the whole log where there is room', () => expect(sampled(1_002).kept).toEqual(lines));

  it('holds all denials, exemptions and other lines before any other decision, and those evenly', () => {
    const { sampling, kept } = sampled(120);
    expect(sampling).toEqual({ limit: 120, notable: { all: 22, kept: 22 }, others: { all: 980, kept: 98 } });
    expect(kept).toHaveLength(120);
    const plain = kept.filter(
      ({ value }) => text(value, 'decision') === 'allow' && objects(value, 'exemptions').length === 0,
    );
    const gaps = plain.slice(1).map(({ header }, at) => header.sequence - (plain[at]?.header.sequence ?? 0));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(13);
  });

  it('is of the denials themselves where there are too many', () => {
    const { sampling, kept } = sampled(11);
    expect(sampling.others.kept).toBe(0);
    expect(kept).toHaveLength(11);
  });
});
