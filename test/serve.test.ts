import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildReview, createReviewClient } from '../scripts/review-client.ts';
import { breaksOf, parseLines } from './audit/support.ts';
import { call, clientCertificate, eventually, selfSigned, serverName } from './server/support.ts';
import { osmoPod } from './support/fixtures.ts';
import { createServeFolder, nodesFile, policyText, type ServeFolder } from './support/serve-process.ts';

let folder: ServeFolder;
beforeEach(() => {
  folder = createServeFolder();
});
afterEach(() => folder.close());

/** The usual arguments, with one of the files they name overwritten. */
function usualWith(file: string, text: string): readonly string[] {
  folder.write(file, text);
  return folder.usual();
}

const get = async (port: number, path: string): Promise<string> =>
  (await fetch(`http://127.0.0.1:${port}${path}`)).text();

describe('serve', () => {
  it('judges, records to standard output, shows metrics, reloads, and ends with code 0 on SIGTERM', async () => {
    const server = folder.start([...folder.usual(), '--shutdown-delay', '0s']);
    const { admission, health } = await server.ports();
    const client = createReviewClient({ port: admission, ca: folder.ca, serverName });
    const mutated = await client.review('mutate', osmoPod('chart-default-cpu'));
    expect(mutated.patch).toBeDefined();
    expect((await client.review('validate', osmoPod('chart-default-cpu'))).allowed).toBe(false);
    await eventually('two records', () => server.stdout().split('"AdmissionRecord"').length === 3);
    const [first, second] = server
      .stdout()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter(({ kind }) => kind === 'AdmissionRecord');
    expect([first.phase, first.decision, second.phase, second.decision]).toEqual([
      'mutate',
      'allow',
      'validate',
      'deny',
    ]);
    expect(second.nodes).toEqual({ state: 'synced', resourceVersion: '', ageSeconds: null });
    expect(await get(health, '/metrics')).toContain(
      'osmo_admission_requests_total{path="/validate",decision="deny",dry_run="false"} 1',
    );

    folder.write('policy.yaml', policyText('monitor'));
    await eventually('the reload', async () => (await client.review('validate', osmoPod('chart-default-cpu'))).allowed);
    folder.write('policy.yaml', policyText('bogus'));
    await eventually('the refusal', async () => (await get(health, '/readyz')).includes('the file is refused'));
    expect(await get(health, '/metrics')).toContain('osmo_admission_policy_reload_failing 1');
    expect((await client.review('validate', osmoPod('chart-default-cpu'))).allowed).toBe(true);

    client.close();
    server.signal('SIGTERM');
    expect(await server.exit).toBe(0);
    expect(server.stderr()).toContain('"requestsCutOff":0');

    // The log tells all of it, from the first line to the last.
    const lines = parseLines(server.stdout());
    expect(breaksOf(server.stdout())).toEqual([]);
    expect(lines.map(({ kind, outcome, signal }) => [kind, outcome ?? signal].join(' ').trim())).toEqual([
      ...['LogStart', 'PolicyRecord loaded', 'CertificateRecord loaded'],
      ...lines.slice(3, -1).map(({ kind, outcome }) => [kind, outcome].join(' ').trim()),
      'LogStop SIGTERM',
    ]);
    const policies = lines.filter(({ kind }) => kind === 'PolicyRecord');
    expect(policies.map(({ outcome, preset, policyText: text }) => [outcome, preset, text !== undefined])).toEqual([
      ['loaded', 'enforce', true],
      ['loaded', 'monitor', true],
      ['refused', 'monitor', false],
    ]);
    expect(policies[2]?.error).toContain('preset is');
  });

  it('goes on judging where nobody reads its log any more', async () => {
    const server = folder.start([...folder.usual(), '--shutdown-delay', '0s']);
    const { admission } = await server.ports();
    server.closeStderr();
    folder.write('policy.yaml', policyText('bogus'));
    const client = createReviewClient({ port: admission, ca: folder.ca, serverName });
    // What is refused is logged, which fails.
    await eventually('the refusal', () => server.stdout().includes('"outcome":"refused"'));
    expect((await client.review('validate', osmoPod('chart-default-cpu'))).allowed).toBe(false);
    client.close();
    server.signal('SIGTERM');
    expect(await server.exit).toBe(0);
  });

  it('drains: unready, still serving with Connection: close, no request lost', async () => {
    const server = folder.start([
      ...folder.usual(),
      '--shutdown-delay',
      '30s',
      '--audit-log',
      folder.path('audit.log'),
    ]);
    const { admission, health } = await server.ports();
    const agent = new Agent({ keepAlive: true });
    const body = JSON.stringify({});
    expect((await call({ port: admission, ca: folder.ca, agent, body })).headers.connection).toBe('keep-alive');
    server.signal('SIGTERM');
    await eventually('unready', async () => (await fetch(`http://127.0.0.1:${health}/readyz`)).status === 503);
    const late = await call({ port: admission, ca: folder.ca, agent, body });
    expect([late.status, late.headers.connection]).toEqual([400, 'close']);
    agent.destroy();
    // A second signal ends the delay.
    server.signal('SIGTERM');
    expect(await server.exit).toBe(0);
    expect(server.stdout()).toBe('');
    const kinds = parseLines(readFileSync(folder.path('audit.log'), 'utf8')).map(({ kind }) => kind);
    expect(kinds).toEqual(['LogStart', 'PolicyRecord', 'CertificateRecord', 'LogStop']);
  });

  it('records which callers are verified, counts the others, and keeps the last good client CA', async () => {
    const [apiServer, stranger] = [clientCertificate('kube-apiserver'), clientCertificate('stranger')];
    folder.write('client-ca.crt', `${apiServer.caPem}${stranger.caPem}`);
    const client = ['--client-ca-file', folder.path('client-ca.crt'), '--client-allowed-names', 'kube-apiserver'];
    const server = folder.start([...folder.usual(), ...client, '--shutdown-delay', '0s']);
    const { admission, health } = await server.ports();
    const body = JSON.stringify(buildReview(osmoPod('chart-default-cpu'), 'alice'));
    for (const shown of [{ client: apiServer }, { client: stranger }, {}]) {
      expect((await call({ port: admission, ca: folder.ca, body, ...shown })).status).toBe(200);
    }
    const verdicts = (): unknown[] =>
      parseLines(server.stdout())
        .filter(({ kind }) => kind === 'AdmissionRecord')
        .map(({ callerVerified }) => callerVerified);
    await eventually('three records', () => verdicts().length === 3);
    expect(verdicts()).toEqual([true, false, false]);
    const metrics = await get(health, '/metrics');
    for (const [reason, count] of Object.entries({ none: 1, name: 1, authority: 0 })) {
      expect(metrics).toContain(`osmo_admission_unverified_reviews_total{reason="${reason}"} ${count}`);
    }
    expect(server.stderr()).toContain('"commonName":"stranger"');
    expect(await get(health, '/readyz')).toContain('[+] client-ca: 2 authorities, the last until ');
    folder.write('client-ca.crt', 'x');
    await eventually('the refusal', async () =>
      (await get(health, '/readyz')).includes('client-ca.crt: holds no PEM certificate'),
    );
    expect(await get(health, '/readyz')).toContain('[~] client-ca: 2 authorities');
    expect((await fetch(`http://127.0.0.1:${health}/readyz`)).status).toBe(200);
    expect(await get(health, '/metrics')).toContain('osmo_admission_client_ca_reloads_total{outcome="failure"} 1');
    expect((await call({ port: admission, ca: folder.ca, body, client: apiServer })).status).toBe(200);
    await eventually('the fourth record', () => verdicts().at(3) === true);
    server.signal('SIGTERM');
    expect(await server.exit).toBe(0);
  });

  it('takes its flags from the environment too', async () => {
    const server = folder.start(['--host', '127.0.0.1'], {
      OSMO_ADMISSION_PORT: '0',
      OSMO_ADMISSION_HEALTH_PORT: '0',
      OSMO_ADMISSION_NODES: nodesFile,
      OSMO_ADMISSION_TLS_CERT_FILE: folder.path('tls.crt'),
      OSMO_ADMISSION_TLS_PRIVATE_KEY_FILE: folder.path('tls.key'),
      OSMO_ADMISSION_SHUTDOWN_DELAY: '0s',
    });
    await server.ports();
    server.signal('SIGINT');
    expect(await server.exit).toBe(0);
  });

  describe('does not start with', () => {
    const cases: readonly (readonly [string, () => readonly string[], number, string])[] = [
      ['a bad policy file', () => usualWith('policy.yaml', policyText('bogus')), 1, 'policy.yaml:3:9: preset is'],
      ['a certificate that is none', () => usualWith('tls.crt', 'x'), 1, 'tls.crt: holds no PEM certificate'],
      ['a key of another certificate', () => usualWith('tls.key', selfSigned().keyPem), 1, 'is not the key of'],
      [
        'no API server',
        () => folder.usual().filter((arg) => arg !== '--nodes' && arg !== nodesFile),
        1,
        'KUBERNETES_SERVICE_HOST is not set',
      ],
      [
        'an audit log that cannot be opened',
        () => [...folder.usual(), '--audit-log', '/nowhere/audit.log'],
        1,
        'ENOENT',
      ],
      [
        'two audit files',
        () => [...folder.usual(), '--audit-log', 'a', '--audit-log', 'b'],
        2,
        'give one file at most',
      ],
      ['an fsync that is none', () => [...folder.usual(), '--audit-fsync', 'x'], 2, 'give interval or always or none'],
      [
        'a size that is none',
        () => [...folder.usual(), '--audit-log-max-size', '1 GB'],
        2,
        'give a size such as 100Mi',
      ],
      [
        'a signing key that is none',
        () => [...folder.usual(), '--audit-signing-key', folder.path('tls.key')],
        1,
        'of type ec',
      ],
      ['no certificate', () => ['--nodes', nodesFile], 2, '--tls-cert-file is missing'],
      [
        'a client CA that is none',
        () => [...usualWith('client-ca.crt', 'x'), '--client-ca-file', folder.path('client-ca.crt')],
        1,
        'client-ca.crt: holds no PEM certificate',
      ],
      [
        'names of clients and no CA',
        () => [...folder.usual(), '--client-allowed-names', 'kube-apiserver'],
        2,
        '--client-allowed-names needs --client-ca-file',
      ],
      [
        'a required client certificate and no CA',
        () => [...folder.usual(), '--client-certificate-required'],
        2,
        '--client-certificate-required needs --client-ca-file',
      ],
      [
        'names of clients with an empty one',
        () => [...folder.usual(), '--client-ca-file', folder.path('tls.crt'), '--client-allowed-names', 'a,,b'],
        2,
        'give common names separated by commas',
      ],
      [
        'certificate files and certificates of its own',
        () => [...folder.usual(), '--tls-self-signed'],
        2,
        'give --tls-cert-file or --tls-self-signed, not both',
      ],
      [
        'certificates of its own and no cluster',
        () => ['--tls-self-signed', '--nodes', nodesFile],
        2,
        '--tls-self-signed keeps its certificates in a cluster, and --nodes is for none: give certificate files',
      ],
      ['a port that is none', () => [...folder.usual(), '--port', '99999'], 2, '--port is "99999": give a port'],
      [
        'a duration that is none',
        () => [...folder.usual(), '--shutdown-delay', 'soon'],
        2,
        'give a duration such as 10s',
      ],
      ['two sources of nodes', () => [...folder.usual(), '--kubeconfig', 'x'], 2, '--nodes or --kubeconfig, not both'],
      ['an argument that is no flag', () => [...folder.usual(), 'please'], 2, 'takes flags only'],
      ['a flag that is none', () => [...folder.usual(), '--tls-cert', 'x'], 2, 'did you mean --tls-cert-file?'],
    ];
    for (const [name, args, code, message] of cases) {
      it(name, async () => {
        const server = folder.start(args());
        expect(await server.exit).toBe(code);
        expect(server.stderr()).toContain(message);
      });
    }
  });

  it('--help lists every flag with its environment variable', async () => {
    const server = folder.start(['--help']);
    expect(await server.exit).toBe(0);
    const help = server.stdout();
    for (const flag of [
      'config',
      'tls-cert-file',
      'tls-private-key-file',
      'client-ca-file',
      'client-allowed-names',
      'client-certificate-required',
      'tls-self-signed',
      'kubeconfig',
      'nodes',
      'host',
      'port',
      'health-host',
      'health-port',
      'audit-log',
      'audit-log-max-size',
      'audit-log-max-age',
      'audit-log-keep',
      'no-audit-log-compress',
      'audit-fsync',
      'audit-on-error',
      'audit-signing-key',
      'audit-checkpoint-records',
      'audit-checkpoint-interval',
      'cluster-name',
      'namespace',
      'service-account',
      'no-pod-search',
      'reload-interval',
      'shutdown-delay',
      'shutdown-timeout',
    ]) {
      expect(help).toContain(`--${flag}`);
    }
    expect(help.match(/env [A-Z_]+/g)?.length).toBe(30);
  });
});
