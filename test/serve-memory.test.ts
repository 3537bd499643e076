import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildReview } from '../scripts/review-client.ts';
import { maxValues } from '../src/admission/json-bounds.ts';
import { resources } from '../src/manifests/workload.ts';
import { beginReview, call } from './server/support.ts';
import type { KubeObject } from './support/fixtures.ts';
import { limitMemory } from './support/memory-limit.ts';
import { createServeFolder, type Process } from './support/serve-process.ts';

/*
 * The server under the memory limit of its manifests gets the largest reviews that an API server can send, and the worst bodies that
 * somebody else can: several of each at once. A kernel that finds it above its limit kills it.
 */

const limit = limitMemory(`osmo-admission-${process.pid}`, Number.parseInt(resources.limits.memory, 10) * 1024 ** 2);
const folder = createServeFolder();
let server: Process;
let port: number;

beforeAll(async () => {
  if (limit === undefined) return;
  const command = [...limit.command, join(import.meta.dirname, '..', 'bin', 'osmo-admission')];
  server = folder.start(folder.usual(), {}, command);
  port = (await server.ports()).admission;
});
afterAll(async () => {
  folder.close();
  await server?.exit;
  limit?.remove();
});

const podOf = (spec: object, metadata: object = {}): KubeObject => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'osmo-workflows', ...metadata } },
  spec: { containers: [{ name: 'c', image: 'i' }], ...spec },
});
const withArgs = (args: readonly string[]): KubeObject => podOf({ containers: [{ name: 'c', image: 'i', args }] });
const withTerms = (nodeSelectorTerms: readonly object[]): KubeObject =>
  podOf({ affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } } });

const creation = (object: KubeObject): string => JSON.stringify(buildReview(object, 'alice'));
const update = (object: KubeObject): string => {
  const { request, ...review } = buildReview(object, 'alice') as { request: object };
  return JSON.stringify({ ...review, request: { ...request, operation: 'UPDATE', oldObject: object } });
};
/** Text of a pod, as the API server escapes it. */
const escaped = (json: string, count: number): string => json.replaceAll('TEXT', String.raw`\u003c`.repeat(count));

const many = <T>(count: number, of: (index: number) => T): readonly T[] =>
  Array.from({ length: count }, (_, i) => of(i));

const reviews: readonly (readonly [string, () => string])[] = [
  [
    '33,000 terms',
    () => creation(withTerms(many(33_000, () => ({ matchExpressions: [{ key: 'a', operator: 'Exists' }] })))),
  ],
  ['empty terms, before and after', () => update(withTerms(many(250_000, () => ({}))))],
  ['empty arguments', () => creation(withArgs(many(500_000, () => '')))],
  ['annotations', () => creation(podOf({}, { annotations: Object.fromEntries(many(180_000, (i) => [`k${i}`, ''])) }))],
  ['text that is escaped, before and after', () => escaped(update(withArgs(['TEXT'])), 2_200_000)],
  ['text that is not Latin', () => creation(withArgs(['\u4e00'.repeat(10_000_000)]))],
];

const others: readonly (readonly [string, () => string])[] = [
  ['lists', () => `[${'[],'.repeat(11_000_000)}0]`],
  ['what nests', () => '{"a":'.repeat(6_000_000)],
  ['members', () => `{${many(maxValues - 1, (i) => `"k${i}":{}`).join()}}`],
  ['members of long names', () => `{${many(300_000, (i) => `"${'k'.repeat(90)}${i}":{}`).join()}}`],
  [
    'objects of many shapes',
    () => `[${many(maxValues / 8 - 1, (i) => `{"a":{},"b":{},"c":{},"d${i}":{},"e":{},"f":{},"g":{}}`).join()}]`,
  ],
  ['numbers', () => `[${many(maxValues - 2, (i) => `${i}.5`).join()}]`],
];

const residentBytes = (): number =>
  1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]);

const send = async (body: string, path = '/validate'): Promise<number> =>
  (await call({ port, ca: folder.ca, path, body })).status;

describe.skipIf(limit === undefined)('within its memory', { timeout: 60_000 }, () => {
  it('keeps little of bodies that are sent a byte at a time, by many who wait for one another', async () => {
    const sockets = await Promise.all(
      many(20, async () => {
        const socket = await beginReview({ port, ca: folder.ca, length: 9_000_000, sent: 0 });
        socket.setNoDelay(true);
        return socket;
      }),
    );
    const before = residentBytes();
    await Promise.all(
      sockets.map(async (socket) => {
        // Each write is a record of its own, and so a piece.
        for (let n = 0; n < 10_000 && socket.writable; n++) {
          socket.write('x');
          await new Promise((resolve) => setImmediate(resolve));
        }
      }),
    );
    // All of it is 200 KB; kept in pieces it were some 85 MiB.
    expect(residentBytes() - before).toBeLessThan(40 * 1024 ** 2);
    for (const socket of sockets) socket.destroy();
  });

  it.each(reviews)('judges pods of %s, eight at once', async (_, text) => {
    const body = text();
    const statuses = await Promise.all(many(8, (index) => send(body, index % 2 === 0 ? '/mutate' : '/validate')));
    expect(new Set(statuses)).toEqual(new Set([200]));
  });

  it.each(others)('refuses bodies of %s, eight at once', async (_, text) => {
    const body = text();
    expect(new Set(await Promise.all(many(8, () => send(body))))).toEqual(new Set([400]));
  });

  it('judges and refuses all of these at once', async () => {
    const bodies = [...reviews, ...others].map(([, text]) => text());
    const statuses = await Promise.all([...bodies, ...bodies].map((body) => send(body)));
    // Cut off is whoever is slow while others wait, as here two processes share the machine with the clients.
    expect(statuses.filter((status) => ![200, 400, 408].includes(status))).toEqual([]);
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(0);
  });

  it('is the same process at the end, and came near its limit', async () => {
    expect(await send(creation(podOf({})))).toBe(200);
    // Else nothing above was large.
    expect(limit?.peakBytes()).toBeGreaterThan(256 * 1024 ** 2);
  });
});
