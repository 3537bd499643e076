import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { appendFileSync, chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createReviewClient, type ReviewClient } from '../scripts/review-client.ts';
import { breaksOf, parseLines, sha256, tornTailOf } from './audit/support.ts';
import { eventually, serverName } from './server/support.ts';
import { osmoPod } from './support/fixtures.ts';
import { metricOf } from './support/metrics.ts';
import { createServeFolder, type Process, type ServeFolder } from './support/serve-process.ts';

/* The audit log of a real server process. */

let folder: ServeFolder;
let clients: ReviewClient[];
beforeEach(() => {
  folder = createServeFolder();
  clients = [];
});
afterEach(() => {
  for (const client of clients) client.close();
  folder.close();
});

const content = (): string => readFileSync(folder.path('audit.log'), 'utf8');
const start = (...more: readonly string[]): Process =>
  folder.start([...folder.usual(), '--shutdown-delay', '0s', '--audit-log', folder.path('audit.log'), ...more]);

async function clientOf(server: Process): Promise<ReviewClient> {
  const { admission } = await server.ports();
  const client = createReviewClient({ port: admission, ca: folder.ca, serverName });
  clients.push(client);
  return client;
}

async function end(server: Process): Promise<void> {
  for (const client of clients.splice(0)) client.close();
  server.signal('SIGTERM');
  expect(await server.exit).toBe(0);
}

/** Sends reviews, eight at a time, until the server is gone. @returns the hashes that answers named. */
function load(client: ReviewClient): { readonly hashes: string[]; readonly done: Promise<unknown> } {
  const hashes: string[] = [];
  const one = async (): Promise<void> => {
    for (;;) {
      const response = await client.review('validate', osmoPod('chart-default-cpu')).catch(() => undefined);
      if (response === undefined) return;
      hashes.push(String(Object(response).auditAnnotations['record-hash']));
    }
  };
  return { hashes, done: Promise.all(Array.from({ length: 8 }, one)) };
}

describe('a server that is killed under load and started again', () => {
  it.each(['always', 'interval'])('goes on in one chain of whole lines, with fsync %s', async (fsync) => {
    const answered: string[] = [];
    for (let boot = 0; boot < 3; boot++) {
      const server = start('--audit-fsync', fsync, '--audit-signing-key', folder.path('key.pem'));
      const { hashes, done } = load(await clientOf(server));
      await eventually('answers', () => hashes.length > 200);
      server.signal('SIGKILL');
      await server.exit;
      await done;
      answered.push(...hashes);
    }
    const last = start('--audit-fsync', fsync, '--audit-signing-key', folder.path('key.pem'));
    await last.ports();
    await end(last);
    expect(breaksOf(content())).toEqual([]);
    const lines = parseLines(content());
    expect(lines.filter(({ kind }) => kind === 'LogStart')).toHaveLength(4);
    expect(lines.filter(({ kind }) => kind === 'LogStop')).toHaveLength(1);
    expect(new Set(lines.map(({ boot }) => boot)).size).toBe(4);
    const written = new Set(content().trimEnd().split('\n').map(sha256));
    const missing = answered.filter((hash) => !written.has(hash));
    // With fsync always no answer goes out before its record is there; else those of the last moments may be missing.
    if (fsync === 'always') expect(missing).toEqual([]);
    else expect(missing.length).toBeLessThan(answered.length);
  });

  it('keeps aside the piece of a line that it had begun, and says so in LogStart and its log', async () => {
    const first = start();
    await (await clientOf(first)).review('validate', osmoPod('chart-default-cpu'));
    await eventually('the record', () => content().includes('AdmissionRecord'));
    first.signal('SIGKILL');
    await first.exit;
    appendFileSync(folder.path('audit.log'), '{"apiVersion":"osmo-adm');
    const second = start();
    await second.ports();
    await end(second);
    expect(breaksOf(content())).toEqual([]);
    const torn = tornTailOf(parseLines(content()).findLast(({ kind }) => kind === 'LogStart'));
    expect(torn?.bytes).toBe(23);
    expect(readFileSync(torn?.keptAs ?? '', 'utf8')).toBe('{"apiVersion":"osmo-adm');
    // No file of the log: docs/audit.md names those by audit*.log*.
    expect(readdirSync(folder.directory)).toContainEqual(expect.stringMatching(/^audit\.torn-\d{8}T\d{6}\.\d{3}Z$/));
    expect(second.stderr()).toContain('"message":"the audit file ended within a line; that piece is kept aside"');
  });
});

describe('two servers that were given one file', () => {
  it('part: none loses a record, each line is whole, and metrics, log and records say so', async () => {
    const first = start();
    const before = load(await clientOf(first));
    await eventually('answers', () => before.hashes.length > 20);
    const second = start();
    const after = load(await clientOf(second));
    await eventually('answers of both', () => after.hashes.length > 20);
    const seen = before.hashes.length;
    await eventually('more answers', () => before.hashes.length > seen + 20);
    let faults = 0;
    for (const server of [first, second]) {
      const text = await (await fetch(`http://127.0.0.1:${(await server.ports()).health}/metrics`)).text();
      faults += metricOf(text, 'osmo_admission_audit_faults_total', { operation: 'shared' });
    }
    expect(faults).toBeGreaterThan(0);
    expect(first.stderr() + second.stderr()).toContain('somebody else has written');
    for (const server of [first, second]) server.signal('SIGTERM');
    expect(await Promise.all([first.exit, second.exit])).toEqual([0, 0]);
    await Promise.all([before.done, after.done]);
    const files = readdirSync(folder.directory).filter((name) => /^audit(\.[0-9a-f]{8})?\.log$/.test(name));
    const text = files.map((name) => readFileSync(folder.path(name), 'utf8')).join('');
    const written = new Set(text.trimEnd().split('\n').map(sha256));
    expect([...before.hashes, ...after.hashes].filter((hash) => !written.has(hash))).toEqual([]);
    const moves = parseLines(text).filter(({ kind }) => kind === 'FileRecord');
    expect(moves).toHaveLength(faults);
    expect(files.length).toBeGreaterThan(1);
    for (const { to } of moves) expect(files.map(folder.path)).toContain(to);
  });
});

describe('the audit log of a server', () => {
  it.each([
    ['off', []],
    ['on', ['--client-ca-file']],
    ['required', ['--client-certificate-required', '--client-ca-file']],
  ])('says at its start whether callers are verified: %s', async (callerVerification, flags) => {
    const file = folder.path('client-ca.crt');
    writeFileSync(file, folder.ca);
    const server = start(...flags, ...(flags.length > 0 ? [file] : []));
    await server.ports();
    await end(server);
    expect(parseLines(content())[0]).toMatchObject({ kind: 'LogStart', settings: { callerVerification } });
  });

  it('goes to standard output and a file at once, the same lines, which the answers name', async () => {
    const server = start('--audit-log', '-', '--cluster-name', 'lab');
    const client = await clientOf(server);
    const hashes: string[] = [];
    for (const phase of ['mutate', 'validate'] as const) {
      const response = await client.review(phase, osmoPod('chart-default-cpu'));
      hashes.push(String(Object(response).auditAnnotations['record-hash']));
    }
    await end(server);
    expect(server.stdout()).toBe(content());
    expect(statSync(folder.path('audit.log')).mode & 0o777).toBe(0o600);
    const lines = content().trimEnd().split('\n');
    expect(lines.filter((line) => line.includes('"AdmissionRecord"')).map(sha256)).toEqual(hashes);
    for (const line of parseLines(content())) expect(line.cluster).toBe('lab');
  });

  it('whose sink fails: under continue requests are judged, and metrics and /readyz tell what is lost', async () => {
    const server = folder.start([
      ...folder.usual(),
      '--shutdown-delay',
      '0s',
      '--audit-log',
      '/dev/full',
      '--audit-log',
      '-',
    ]);
    const client = await clientOf(server);
    const { health } = await server.ports();
    const get = async (path: string): Promise<string> => (await fetch(`http://127.0.0.1:${health}${path}`)).text();
    await eventually('the loss of the first lines', async () => (await get('/readyz')).includes('[~] audit: '));
    expect((await client.review('validate', osmoPod('chart-default-cpu'))).allowed).toBe(false);
    server.closeStdout();
    for (let i = 0; i < 3; i++) await client.review('validate', osmoPod('chart-default-cpu'));
    const lost = async (sink: string): Promise<number> =>
      metricOf(await get('/metrics'), 'osmo_admission_audit_lost_records_total', { sink });
    await eventually('losses of both', async () => (await lost('file')) >= 7 && (await lost('stdout')) > 0);
    expect(metricOf(await get('/metrics'), 'osmo_admission_audit_failing')).toBe(1);
    expect(server.stderr()).toContain('ENOSPC');
    expect(await get('/readyz')).toContain('still failing\n');
    expect((await fetch(`http://127.0.0.1:${health}/readyz`)).status).toBe(200);
    await end(server);
  });

  it('whose sink fails: under deny each request is HTTP 500, so that failurePolicy decides', async () => {
    const args = ['--shutdown-delay', '0s', '--audit-log', '/dev/full', '--audit-on-error', 'deny'];
    const server = folder.start([...folder.usual(), ...args]);
    const client = await clientOf(server);
    await expect(client.review('validate', osmoPod('chart-default-cpu'))).rejects.toThrow(
      /HTTP 500: .*the audit record could not be written: ENOSPC/,
    );
    await end(server);
  });

  it('whose sink stands still is given up at the end: it does not wait to be killed, and tells what it lost', async () => {
    const pipe = folder.path('stuck.pipe');
    execFileSync('mkfifo', [pipe]);
    const server = folder.start([
      ...[...folder.usual(), '--shutdown-delay', '0s', '--shutdown-timeout', '1s'],
      ...['--audit-log', pipe, '--audit-log', '-'],
    ]);
    const client = await clientOf(server);
    // Nobody reads the pipe: it takes 64 KiB, and then nothing.
    const records = 100;
    for (let i = 0; i < records; i++) await client.review('validate', osmoPod('chart-default-cpu'));
    client.close();
    server.signal('SIGTERM');
    expect(await server.exit).toBe(1);
    expect(server.stderr()).toContain('"why":"the sink did not take it before the end"');
    expect(server.stderr()).toMatch(/stopped without the end of the audit log.*"lost":[1-9]/);
    expect(parseLines(server.stdout()).at(-1)).toMatchObject({ kind: 'LogStop', signal: 'SIGTERM', records });
  });

  it('names the replica by POD_NAME, no longer than a name is', async () => {
    const server = folder.start([...folder.usual(), '--shutdown-delay', '0s'], { POD_NAME: 'w'.repeat(300) });
    await server.ports();
    server.signal('SIGTERM');
    await server.exit;
    expect(new Set(parseLines(server.stdout()).map(({ replica }) => replica))).toEqual(
      new Set([`${'w'.repeat(252)}…`]),
    );
  });

  it('ends with LogStop also where the server could not start', async () => {
    const blocker = start();
    const { admission } = await blocker.ports();
    const second = folder.start([...folder.usual(), '--port', String(admission)]);
    expect(await second.exit).toBe(1);
    expect(parseLines(second.stdout()).at(-1)).toMatchObject({
      kind: 'LogStop',
      signal: expect.stringContaining('EADDRINUSE'),
    });
    await end(blocker);
  });
});

describe('files of its own that others may read', () => {
  it('are closed where they are the log, and warned of where they are the key', async () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    folder.write('key.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
    folder.write('audit.log', '');
    for (const name of ['key.pem', 'audit.log']) chmodSync(folder.path(name), 0o644);
    const server = start('--audit-signing-key', folder.path('key.pem'));
    await server.ports();
    await end(server);
    expect(statSync(folder.path('audit.log')).mode & 0o777).toBe(0o600);
    expect(server.stderr() + server.stdout()).toContain('others may read the key that signs the audit log');
  });
});
