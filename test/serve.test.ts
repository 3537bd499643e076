import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createReviewClient } from '../scripts/review-client.ts';
import { call, eventually, selfSigned, serverName } from './server/support.ts';
import { osmoPod } from './support/fixtures.ts';

/* The server as it is started for real: a process of its own, with flags, environment, files and signals. */

const root = join(import.meta.dirname, '..');
const nodes = join(root, 'test', 'fixtures', 'nodes', 'cluster.yaml');
const policyText = (preset: string): string =>
  `apiVersion: osmo-admission/v1alpha1\nkind: AdmissionPolicy\npreset: ${preset}\n`;

let directory: string;
let ca: string;
let child: ChildProcess | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'serve-'));
  const { certPem, keyPem, caPem } = selfSigned();
  ca = caPem;
  writeFileSync(join(directory, 'tls.crt'), certPem);
  writeFileSync(join(directory, 'tls.key'), keyPem);
  writeFileSync(join(directory, 'policy.yaml'), policyText('enforce'));
});
afterEach(() => {
  child?.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

interface Process {
  readonly exit: Promise<number | null>;
  readonly stderr: () => string;
  readonly stdout: () => string;
  readonly signal: (name: NodeJS.Signals) => void;
}

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Process {
  const started = spawn(join(root, 'bin', 'osmo-admission'), ['serve', ...args], {
    env: { PATH: '/usr/bin:/bin', ...env },
  });
  child = started;
  let stderr = '';
  let stdout = '';
  started.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  started.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  return {
    exit: new Promise((resolve) => started.once('exit', resolve)),
    stderr: () => stderr,
    stdout: () => stdout,
    signal: (name) => void started.kill(name),
  };
}

const usual = (): string[] => [
  ...[
    '--host',
    '127.0.0.1',
    '--port',
    '0',
    '--health-port',
    '0',
    '--nodes',
    nodes,
    '--config',
    join(directory, 'policy.yaml'),
  ],
  ...[
    '--tls-cert-file',
    join(directory, 'tls.crt'),
    '--tls-private-key-file',
    join(directory, 'tls.key'),
    '--reload-interval',
    '1s',
  ],
];

/** The usual arguments, with one of the files they name overwritten. */
function usualWith(file: string, text: string): readonly string[] {
  writeFileSync(join(directory, file), text);
  return usual();
}

async function ports({ stderr }: Process): Promise<{ admission: number; health: number }> {
  await eventually('the server serves', () => stderr().includes('"admissionPort"'));
  const line =
    stderr()
      .split('\n')
      .find((text) => text.includes('"admissionPort"')) ?? '{}';
  const { admissionPort, healthPort } = JSON.parse(line);
  return { admission: admissionPort, health: healthPort };
}

const get = async (port: number, path: string): Promise<string> =>
  (await fetch(`http://127.0.0.1:${port}${path}`)).text();

describe('serve', () => {
  it('judges, records to standard output, shows metrics, reloads, and ends with code 0 on SIGTERM', async () => {
    const server = start([...usual(), '--shutdown-delay', '0s']);
    const { admission, health } = await ports(server);
    const client = createReviewClient({ port: admission, ca, serverName });
    const mutated = await client.review('mutate', osmoPod('chart-default-cpu'));
    expect(mutated.patch).toBeDefined();
    expect((await client.review('validate', osmoPod('chart-default-cpu'))).allowed).toBe(false);
    await eventually('two records', () => server.stdout().trimEnd().split('\n').length === 2);
    const [first, second] = server
      .stdout()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
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

    writeFileSync(join(directory, 'policy.yaml'), policyText('monitor'));
    await eventually('the reload', async () => (await client.review('validate', osmoPod('chart-default-cpu'))).allowed);
    writeFileSync(join(directory, 'policy.yaml'), policyText('bogus'));
    await eventually('the refusal', async () => (await get(health, '/readyz')).includes('the file is refused'));
    expect(await get(health, '/metrics')).toContain('osmo_admission_policy_reload_failing 1');
    expect((await client.review('validate', osmoPod('chart-default-cpu'))).allowed).toBe(true);

    client.close();
    server.signal('SIGTERM');
    expect(await server.exit).toBe(0);
    expect(server.stderr()).toContain('"requestsCutOff":0');
  });

  it('drains: unready, still serving with Connection: close, no request lost', async () => {
    const server = start([...usual(), '--shutdown-delay', '30s', '--audit-log', join(directory, 'audit.log')]);
    const { admission, health } = await ports(server);
    const agent = new Agent({ keepAlive: true });
    const body = JSON.stringify({});
    expect((await call({ port: admission, ca, agent, body })).headers.connection).toBe('keep-alive');
    server.signal('SIGTERM');
    await eventually('unready', async () => (await fetch(`http://127.0.0.1:${health}/readyz`)).status === 503);
    const late = await call({ port: admission, ca, agent, body });
    expect([late.status, late.headers.connection]).toEqual([400, 'close']);
    agent.destroy();
    // A second signal ends the delay.
    server.signal('SIGTERM');
    expect(await server.exit).toBe(0);
    expect(server.stdout()).toBe('');
    expect(readFileSync(join(directory, 'audit.log'), 'utf8')).toBe('');
  });

  it('takes its flags from the environment too', async () => {
    const server = start(['--host', '127.0.0.1'], {
      OSMO_ADMISSION_PORT: '0',
      OSMO_ADMISSION_HEALTH_PORT: '0',
      OSMO_ADMISSION_NODES: nodes,
      OSMO_ADMISSION_TLS_CERT_FILE: join(directory, 'tls.crt'),
      OSMO_ADMISSION_TLS_PRIVATE_KEY_FILE: join(directory, 'tls.key'),
      OSMO_ADMISSION_SHUTDOWN_DELAY: '0s',
    });
    await ports(server);
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
        () => usual().filter((arg) => arg !== '--nodes' && arg !== nodes),
        1,
        'KUBERNETES_SERVICE_HOST is not set',
      ],
      ['an audit log that cannot be opened', () => [...usual(), '--audit-log', '/nowhere/audit.log'], 1, 'ENOENT'],
      ['no certificate', () => ['--nodes', nodes], 2, '--tls-cert-file is missing'],
      ['a port that is none', () => [...usual(), '--port', '99999'], 2, '--port is "99999": give a port'],
      ['a duration that is none', () => [...usual(), '--shutdown-delay', 'soon'], 2, 'give a duration such as 10s'],
      ['two sources of nodes', () => [...usual(), '--kubeconfig', 'x'], 2, '--nodes or --kubeconfig, not both'],
      ['an argument that is no flag', () => [...usual(), 'please'], 2, 'takes flags only'],
      ['a flag that is none', () => [...usual(), '--tls-cert', 'x'], 2, 'did you mean --tls-cert-file?'],
    ];
    for (const [name, args, code, message] of cases) {
      it(name, async () => {
        const server = start(args());
        expect(await server.exit).toBe(code);
        expect(server.stderr()).toContain(message);
      });
    }
  });

  it('--help lists every flag with its environment variable', async () => {
    const server = start(['--help']);
    expect(await server.exit).toBe(0);
    const help = server.stdout();
    for (const flag of [
      'config',
      'tls-cert-file',
      'tls-private-key-file',
      'kubeconfig',
      'nodes',
      'host',
      'port',
      'health-host',
      'health-port',
      'audit-log',
      'namespace',
      'service-account',
      'no-pod-search',
      'reload-interval',
      'shutdown-delay',
      'shutdown-timeout',
    ]) {
      expect(help).toContain(`--${flag}`);
    }
    expect(help.match(/env [A-Z_]+/g)?.length).toBe(16);
  });
});
