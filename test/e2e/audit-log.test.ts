import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { canonicalize } from '../../src/audit/canonical.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { type Installation, install, startCluster } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import { type Outcome, runCli } from '../support/cli.ts';
import { fixtureNode, type KubeObject } from '../support/fixtures.ts';
import { recordHash, recordHashesIn } from '../support/record-hash.ts';
import { kubeletPolicy } from './support/policy.ts';

/* The webhook's own log held against the API server's: what each of them knows, and what somebody did to ours. */

let plane: ControlPlane;
let webhook: Installation;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  webhook = await install(plane, { policy: kubeletPolicy() });
}, 120_000);

afterAll(() => plane?.close(), 60_000);

const pods = (namespace: string): string => `/api/v1/namespaces/${namespace}/pods`;
const labels = { 'osmo.workflow_uuid': 'a', 'osmo.task_uuid': 'b' };
const pod = (name: string, spec: object = {}, more: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, ...more },
  spec: { containers: [{ name: 'c', image: 'x' }], schedulingGates: [{ name: 'example.com/wait' }], ...spec },
});
const merge = { contentType: 'application/merge-patch+json' };

/** Copies of both logs as they are now, the API server's first; ours after `change`. */
function copies(
  name: string,
  change: (lines: string[]) => string[] = (lines) => lines,
): { ours: string; theirs: string } {
  const [ours, theirs] = [join(plane.folder, `${name}-ours.log`), join(plane.folder, `${name}-theirs.log`)];
  copyFileSync(join(plane.folder, 'api-audit.log'), theirs);
  const lines = readFileSync(join(plane.folder, 'audit.log'), 'utf8').trimEnd().split('\n');
  writeFileSync(
    ours,
    change(lines)
      .map((line) => `${line}\n`)
      .join(''),
  );
  return { ours, theirs };
}

// biome-ignore lint/suspicious/noExplicitAny: a report as JSON.
function reconcile({ ours, theirs }: { ours: string; theirs: string }): Promise<Outcome & { readonly report: any }> {
  return runCli(['log', 'reconcile', ours, '--api-audit', theirs, '-o', 'json'], { nowMs: Date.now() }).then(
    (said) => ({
      ...said,
      report: JSON.parse(said.stdout),
    }),
  );
}

const verify = (file: string): Promise<Outcome> => runCli(['log', 'verify', file]);

/** Hashes of records that the API server's log names. */
const namedHashes = (): ReadonlySet<string> =>
  new Set(plane.auditEvents().flatMap(({ annotations }) => recordHashesIn(annotations).map(({ hash }) => hash)));

/** The server answers before it writes: until each call that the API server knows stands in our log. */
async function bothWritten(): Promise<void> {
  await eventually('every record is written', () => {
    const ours = webhook.recordsByHash();
    return [...namedHashes()].every((hash) => ours.has(hash));
  });
}

describe('log reconcile', () => {
  it('says of real requests of every kind that both logs agree, and what level Metadata cannot show', async () => {
    const send = plane.api.send;
    for (const name of ['compute-1', 'gpu-1']) {
      expect((await send('POST', '/api/v1/nodes', fixtureNode(name))).code).toBe(201);
    }
    expect((await send('POST', pods('osmo-workflows'), pod('good'))).code).toBe(201);
    expect(
      (await send('POST', pods('osmo-workflows'), pod('bad', { tolerations: [{ operator: 'Exists' }] }))).code,
    ).toBe(403);
    expect((await send('POST', pods('osmo-workflows'), pod('good'))).code).toBe(409);
    expect((await send('POST', `${pods('osmo-workflows')}?dryRun=All`, pod('dry'))).code).toBe(201);
    expect(
      (await send('POST', pods('osmo-workflows'), pod('', {}, { name: undefined, generateName: 'g-' }))).code,
    ).toBe(201);
    expect((await send('POST', pods('default'), pod('labelled', {}, { labels }))).code).toBe(201);
    expect((await send('POST', pods('default'), pod('foreign'))).code).toBe(201);
    expect((await send('PATCH', `${pods('osmo-workflows')}/good`, { spec: { schedulingGates: [] } }, merge)).code).toBe(
      200,
    );
    expect((await send('PATCH', '/api/v1/nodes/gpu-1', { metadata: { labels: { a: 'b' } } }, merge)).code).toBe(200);
    // What the scheduler does with it stands in both logs, too.
    await eventually(
      'the pod is bound',
      async () => (await send('GET', `${pods('osmo-workflows')}/good`)).body.spec.nodeName !== undefined,
    );
    await bothWritten();
    const { code, stdout, report } = await reconcile(copies('good'));
    expect(`${code} ${code === 0 ? '' : stdout}`).toBe('0 ');
    expect(report.known).toBeGreaterThan(15);
    expect(report.known + report.again.count + report.errors).toBe(report.decisions);
    expect(report.scope).toBe(true);
    // The pod elsewhere that bears no labels, among others.
    expect(report.unclear.count).toBeGreaterThan(0);
    expect(Object.keys(report.levels)).toEqual(['Metadata']);
  });

  it('names a record that was taken out, as verify does', async () => {
    const { ours, theirs } = copies('removed', (lines) => {
      const index = lines.findIndex((line) => line.includes('"decision":"deny"') && line.includes('"name":"bad"'));
      return lines.toSpliced(index, 1);
    });
    const { code, report } = await reconcile({ ours, theirs });
    expect(code).toBe(1);
    expect(report.missing.count).toBe(1);
    expect(report.missing.first[0]).toMatchObject({ user: 'admin', verb: 'create', resource: 'pods', name: 'bad' });
    const verified = await verify(ours);
    expect(verified.code).toBe(1);
    expect(verified.stdout).toContain('BREAK, removed');
  });

  it('names records that were cut off the end, which verify cannot know', async () => {
    // Of an update that was tried again the API server names the last record alone.
    const named = namedHashes();
    const { ours, theirs } = copies('cut', (lines) =>
      lines.slice(
        0,
        lines.findLastIndex((line) => named.has(recordHash(line))),
      ),
    );
    const { code, report } = await reconcile({ ours, theirs });
    expect(code).toBe(1);
    expect(report.missing.count).toBe(1);
    expect((await verify(ours)).code).toBe(0);
  });

  it('names a record that was changed, by both hashes', async () => {
    const { ours, theirs } = copies('changed', (lines) =>
      lines.map((line) =>
        line.includes('"name":"bad"') ? line.replace('"decision":"deny"', '"decision":"allow"') : line,
      ),
    );
    const { code, report } = await reconcile({ ours, theirs });
    expect(code).toBe(1);
    expect([report.differs.count, report.missing.count, report.unknown.count]).toEqual([1, 0, 0]);
    expect(report.differs.first[0]).toMatchObject({ name: 'bad', place: { file: ours } });
    const verified = await verify(ours);
    expect(verified.code).toBe(1);
    expect(verified.stdout).toContain('BREAK, changed');
  });

  it('names a record that was forged', async () => {
    const { ours, theirs } = copies('forged', (lines) => {
      const index = lines.findLastIndex((line) => line.includes('"kind":"AdmissionRecord"'));
      const record = JSON.parse(lines[index] ?? '');
      const forged = {
        ...record,
        objectRef: { ...record.objectRef, name: 'never-asked' },
        sequence: record.sequence + 1,
      };
      return lines.toSpliced(index + 1, 0, canonicalize(forged));
    });
    const { code, report } = await reconcile({ ours, theirs });
    expect(code).toBe(1);
    expect([report.unknown.count, report.missing.count]).toEqual([1, 0]);
    expect(report.unknown.first[0]).toMatchObject({ name: 'never-asked', place: { file: ours } });
  });

  it('names what went by while the server was away, by the API server’s own annotation; the next start continues the chain', async () => {
    await webhook.stopServer();
    expect((await plane.api.send('POST', pods('default'), pod('past', {}, { labels }))).code).toBe(201);
    expect((await plane.api.send('POST', '/api/v1/nodes', fixtureNode('jetson-1'))).code).toBe(201);
    expect((await plane.api.send('POST', pods('osmo-workflows'), pod('refused'))).code).toBe(500);
    await webhook.startServer();
    await eventually(
      'it answers',
      async () => (await plane.api.send('POST', `${pods('osmo-workflows')}?dryRun=All`, pod('back'))).code === 201,
    );
    await bothWritten();
    const { ours, theirs } = copies('away');
    const { code, report } = await reconcile({ ours, theirs });
    expect(code).toBe(1);
    const names = report.failedOpen.first.map(({ name }: { name: string }) => name);
    expect(names).toEqual(expect.arrayContaining(['past', 'jetson-1']));
    expect(names).not.toContain('refused');
    expect([report.missing.count, report.unknown.count, report.differs.count, report.unseen.count]).toEqual([
      0, 0, 0, 0,
    ]);
    const verified = await verify(ours);
    expect(verified.code).toBe(0);
    expect(verified.stdout).toContain('ended by SIGTERM');
    expect(verified.stdout).toContain('no server: ');
    const { stdout } = await runCli(['log', 'summary', ours, '--api-audit', theirs, '-o', 'json']);
    expect(JSON.parse(stdout)).toMatchObject({ boots: 2, noServer: [{ orderly: true }] });
    expect(JSON.parse(stdout).failedOpen).toContainEqual({
      value: 'nodes.validate.osmo-admission',
      count: expect.any(Number),
    });
  });

  it('names what was never asked once somebody has taken a webhook out of the configuration', async () => {
    const { stdout } = await plane.apply([
      'get',
      'validatingwebhookconfiguration',
      'osmo-admission-webhook',
      '-o',
      'json',
    ]);
    const index = JSON.parse(stdout).webhooks.findIndex(
      ({ name }: { name: string }) => name === 'nodes.validate.osmo-admission',
    );
    const patch = JSON.stringify([{ op: 'remove', path: `/webhooks/${index}` }]);
    await plane.apply([
      'patch',
      'validatingwebhookconfiguration',
      'osmo-admission-webhook',
      '--type',
      'json',
      '-p',
      patch,
    ]);
    await eventually('it is not asked', async () => {
      const { auditId } = await plane.api.send('POST', '/api/v1/nodes?dryRun=All', fixtureNode('operator-1'));
      return (await plane.auditAnnotations(auditId))['nodes.validate.osmo-admission/record-hash'] === undefined;
    });
    await bothWritten();
    const { code, report } = await reconcile(copies('unseen'));
    expect(code).toBe(1);
    expect(report.unseen.first).toContainEqual(expect.objectContaining({ resource: 'nodes', name: 'operator-1' }));
  });
});
