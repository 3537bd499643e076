import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { createSelfSigned } from '../../src/server/self-signed.ts';
import type { Binaries } from './binaries.ts';

/** What a command printed, and how it ended. */
export interface Said {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ControlPlane {
  /** Cluster-admin. */
  readonly kubeconfig: string;
  /** Runs the real kubectl. `as` is a user that the API server knows: `admin`, or a node's name for its kubelet. */
  kubectl(args: readonly string[], options?: { readonly stdin?: string; readonly as?: string }): Promise<Said>;
  /** Starts real kubelet code for one of `kubelets`; it registers as a node of that name. Its log is in the returned file. */
  startKubelet(name: string, labels: string): Promise<string>;
  /** The API server's own audit events so far. */
  auditEvents(): readonly Readonly<Record<string, unknown>>[];
  stop(): Promise<void>;
}

/** Kubelets that the API server knows, by their node's name. */
export const kubelets = ['gpu-9', 'compute-9'];

/** Starts etcd and a real kube-apiserver (NodeRestriction, RBAC and Node authorizer, its own audit log) on loopback, in a folder of its own. */
export async function startControlPlane(
  { etcd, kubeApiserver, kubectl, kubemark }: Binaries,
  directory: string,
): Promise<ControlPlane> {
  const processes: ChildProcess[] = [];
  const file = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const start = (name: string, command: string, args: readonly string[]): void => {
    const log = openSync(join(directory, `${name}.log`), 'a');
    const child = spawn(command, args, { stdio: ['ignore', log, log] });
    closeSync(log);
    // Ended in the opposite order: an API server without its etcd does not end.
    processes.unshift(child);
  };
  const stop = async (): Promise<void> => {
    for (const child of processes) await end(child);
  };
  const [etcdPort, peerPort, apiPort] = await freePorts(3);
  const client = `http://127.0.0.1:${etcdPort}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  const now = Date.now();
  const { certPem, keyPem, caPem } = createSelfSigned({
    dnsNames: ['localhost', 'kubernetes.default.svc'],
    ipAddresses: ['127.0.0.1'],
    notBefore: new Date(now - 60_000),
    notAfter: new Date(now + 24 * 60 * 60_000),
  });
  const accounts = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const users = [
    ['admin', 'admin', 'system:masters'],
    ...kubelets.map((name) => [name, `system:node:${name}`, 'system:nodes']),
  ];
  const auditLog = join(directory, 'api-audit.log');
  try {
    start('etcd', etcd, [
      ...[
        '--data-dir',
        join(directory, 'etcd'),
        '--unsafe-no-fsync',
        '--listen-client-urls',
        client,
        '--advertise-client-urls',
        client,
      ],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `default=${peer}`],
    ]);
    start('kube-apiserver', kubeApiserver, [
      ...[
        '--etcd-servers',
        client,
        '--bind-address',
        '127.0.0.1',
        '--advertise-address',
        '127.0.0.1',
        '--secure-port',
        String(apiPort),
      ],
      // Loopback is no address that it would publish.
      ...['--endpoint-reconciler-type', 'none', '--service-cluster-ip-range', '10.96.0.0/16'],
      ...['--tls-cert-file', file('api.crt', certPem), '--tls-private-key-file', file('api.key', keyPem)],
      ...[
        '--token-auth-file',
        file('tokens.csv', users.map(([token, user, group]) => `${token}-token,${user},${user},"${group}"\n`).join('')),
      ],
      ...['--authorization-mode', 'RBAC,Node', '--enable-admission-plugins', 'NodeRestriction'],
      ...['--service-account-issuer', 'https://kubernetes.default.svc'],
      ...[
        '--service-account-key-file',
        file('sa.pub', accounts.publicKey.export({ type: 'spki', format: 'pem' }).toString()),
      ],
      ...[
        '--service-account-signing-key-file',
        file('sa.key', accounts.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()),
      ],
      ...[
        '--audit-log-path',
        auditLog,
        '--audit-policy-file',
        file(
          'audit.yaml',
          stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules: [{ level: 'Metadata' }] }),
        ),
      ],
    ]);
    const caFile = file('api-ca.crt', caPem);
    const kubeconfigOf = (user: string): string =>
      file(
        `kubeconfig-${user}`,
        stringify({
          apiVersion: 'v1',
          kind: 'Config',
          'current-context': 'e2e',
          contexts: [{ name: 'e2e', context: { cluster: 'e2e', user } }],
          clusters: [
            { name: 'e2e', cluster: { server: `https://127.0.0.1:${apiPort}`, 'certificate-authority': caFile } },
          ],
          users: [{ name: user, user: { token: `${user}-token` } }],
        }),
      );
    const kubeconfigs = new Map(users.map(([name = '']) => [name, kubeconfigOf(name)]));
    const run = (args: readonly string[], { stdin = '', as = 'admin' } = {}): Promise<Said> =>
      say(
        kubectl,
        ['--kubeconfig', kubeconfigs.get(as) ?? '', '--cache-dir', join(directory, 'kubectl-cache'), ...args],
        stdin,
      );
    await ready(run, directory);
    return {
      kubeconfig: kubeconfigs.get('admin') ?? '',
      kubectl: run,
      async startKubelet(name, labels) {
        const [port, readOnlyPort] = await freePorts(2);
        start(`kubelet-${name}`, kubemark, [
          ...['--morph=kubelet', `--name=${name}`, `--kubeconfig=${kubeconfigs.get(name)}`, `--node-labels=${labels}`],
          ...[`--kubelet-port=${port}`, `--kubelet-read-only-port=${readOnlyPort}`, '--use-host-image-service=false'],
        ]);
        return join(directory, `kubelet-${name}.log`);
      },
      auditEvents: () =>
        readFileSync(auditLog, 'utf8')
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line)),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function ready(run: ControlPlane['kubectl'], directory: string): Promise<void> {
  for (let attempt = 0; attempt < 240; attempt++) {
    const { stdout } = await run(['get', '--raw', '/readyz']);
    if (stdout === 'ok') return;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  const log = readFileSync(join(directory, 'kube-apiserver.log'), 'utf8').split('\n').slice(-10).join('\n');
  throw new Error(`the API server did not become ready:\n${log}`);
}

/** Runs a command to its end. */
export function say(command: string, args: readonly string[], stdin = ''): Promise<Said> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
    child.stdin.end(stdin);
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const patience = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await ended;
  clearTimeout(patience);
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  return Promise.all(
    servers.map(async (server) => {
      const address = server.address();
      await new Promise((resolve) => server.close(resolve));
      return typeof address === 'object' && address !== null ? address.port : 0;
    }),
  );
}
