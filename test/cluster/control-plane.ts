import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { createSelfSigned } from '../../src/server/self-signed.ts';
import { type ApiClient, createApiClient } from './api-client.ts';
import type { Binaries } from './binaries.ts';
import { kwokStages } from './kwok-stages.ts';
import { freePorts, jsonLines, type Processes, startProcesses, tail } from './processes.ts';
import { eventually } from './wait.ts';

/** What a command printed, and how it ended. */
export interface Said {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

type Component = 'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler' | 'kwok';

export interface ControlPlane {
  /** Everything that it writes; removed at the end. */
  readonly folder: string;
  readonly processes: Processes;
  /** URL of the API server, and of etcd's. */
  readonly server: string;
  readonly etcd: string;
  /** Cluster-admin, over kept connections. */
  readonly api: ApiClient;
  /** Whoever the token is of, over connections of its own; who asked for it closes it. */
  connect(token: string): ApiClient;
  /** Path of a kubeconfig for a user that the API server knows: `admin`, or a node whose kubelet it knows. */
  kubeconfig(user?: string): string;
  /** Writes a kubeconfig with a token, such as a service account's; to another address of the API server, if one is given. */
  writeKubeconfig(name: string, token: string, server?: string): string;
  /** Runs the real kubectl, as cluster-admin or as one of the known users. */
  kubectl(args: readonly string[], options?: { readonly stdin?: string; readonly as?: string }): Promise<Said>;
  /** kubectl that must succeed. @throws Error with what it said. */
  apply(args: readonly string[], objects?: readonly object[]): Promise<Said>;
  /** Starts real kubelet code for one of `kubelets`; it registers as a node of that name. Resolves to its log. */
  startKubelet(name: string, labels: string): Promise<string>;
  stopKubelet(name: string): Promise<void>;
  stopComponent(name: Component, signal?: NodeJS.Signals): Promise<void>;
  /** Starts it with the arguments it had; resolves when the API server is ready again. */
  startComponent(name: Component): Promise<void>;
  /** The API server's own audit events so far, of everything but reads, Leases and Events; of `auditedUsers` of everything. */
  auditEvents(): readonly Readonly<Record<string, unknown>>[];
  /** Annotations of one request's event, which is written after the answer. */
  auditAnnotations(auditId: string): Promise<Readonly<Record<string, unknown>>>;
  close(): Promise<void>;
}

/** Kubelets that every API server knows, by their node's name. */
export const kubelets = ['gpu-9', 'compute-9', 'kubelet-1', 'kubelet-2'];

export interface ControlPlaneOptions {
  /** Users of whom the audit log has every request, reads, Leases and Events too. */
  readonly auditedUsers?: readonly string[];
  /** A file for the API server's `--admission-control-config-file`; left out, it has none. */
  readonly admissionConfig?: string;
  /** The API server calls endpoints itself, as where no kube-proxy runs beside it (many managed control planes). */
  readonly callsEndpoints?: boolean;
}

/** Nodes with this annotation are kept Ready by kwok. */
export const kwokAnnotation = { 'kwok.x-k8s.io/node': 'fake' };

/**
 * Starts etcd, kube-apiserver (NodeRestriction, RBAC and Node authorizer, its own audit log), kube-controller-manager, kube-scheduler with
 * a second profile `kai-scheduler`, and kwok, on free ports of loopback. Some six seconds.
 * @param moreKubelets names of nodes whose kubelets the API server knows beside `kubelets`.
 * @throws Error with the end of the log of what did not start; then nothing of it runs any more.
 */
export async function startControlPlane(
  binaries: Binaries,
  moreKubelets: readonly string[] = [],
  options: ControlPlaneOptions = {},
): Promise<ControlPlane> {
  const folder = mkdtempSync(join(tmpdir(), 'osmo-admission-e2e-'));
  const processes = startProcesses(folder);
  try {
    return await start(binaries, folder, processes, usersWith([...kubelets, ...moreKubelets]), options);
  } catch (error) {
    await processes.close();
    throw error;
  }
}

async function start(
  binaries: Binaries,
  folder: string,
  processes: Processes,
  users: readonly User[],
  options: ControlPlaneOptions,
): Promise<ControlPlane> {
  const ports = await freePorts(6);
  const file = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const services = serviceRange();
  const now = Date.now();
  const { certPem, keyPem, caPem } = createSelfSigned({
    dnsNames: ['localhost', 'kubernetes.default.svc'],
    ipAddresses: ['127.0.0.1', `${services}.1`],
    notBefore: new Date(now - 60_000),
    notAfter: new Date(now + 24 * 60 * 60_000),
  });
  const caFile = file('api-ca.crt', caPem);
  const server = `https://127.0.0.1:${ports[2]}`;
  const writeKubeconfig = (name: string, token: string, at = server): string =>
    file(`kubeconfig-${name}`, kubeconfigText({ server: at, caFile, user: name, token }));
  const kubeconfigs = new Map(users.map(([name]) => [name, writeKubeconfig(name, tokenOf(name))]));
  const admin = writeKubeconfig('admin', tokenOf('admin'));
  const commands = commandsOf({ ...options, folder, ports, services, users, admin, file, certPem, keyPem, caFile });
  const startComponent = async (name: Component): Promise<void> => {
    const [command, ...args] = commands[name];
    await processes.start(name, binaries[command], args);
  };
  const kubeconfigOf = (user: string): string => {
    const path = kubeconfigs.get(user);
    // Without a kubeconfig kubectl takes the developer's own, and so a real cluster.
    if (path === undefined)
      throw new Error(`no user ${user}: the API server knows ${[...kubeconfigs.keys()].join(', ')}`);
    return path;
  };
  const run: ControlPlane['kubectl'] = async (args, { stdin = '', as = 'admin' } = {}) =>
    runCommand(
      binaries.kubectl,
      ['--kubeconfig', kubeconfigOf(as), '--cache-dir', join(folder, 'kubectl-cache'), ...args],
      stdin,
    );
  const ready = (): Promise<void> => untilReady(run, processes.logFile('kube-apiserver'));
  await startComponent('etcd');
  await startComponent('kube-apiserver');
  await ready();
  for (const name of ['kube-controller-manager', 'kube-scheduler', 'kwok'] as const) await startComponent(name);
  const connect = (token: string): ApiClient => createApiClient({ server, ca: caPem, token });
  const api = connect(tokenOf('admin'));
  const auditLog = join(folder, auditLogName);
  const auditEvents = (): ReturnType<ControlPlane['auditEvents']> => (existsSync(auditLog) ? jsonLines(auditLog) : []);
  return {
    folder,
    processes,
    server,
    etcd: `http://127.0.0.1:${ports[0]}`,
    api,
    connect,
    kubeconfig: (user = 'admin') => kubeconfigOf(user),
    writeKubeconfig,
    kubectl: run,
    async apply(args, objects = []) {
      const said = await run(args, { stdin: toYaml(objects) });
      if (said.code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${said.stderr}`);
      return said;
    },
    async startKubelet(name, labels) {
      const [port, readOnlyPort] = await freePorts(2);
      await processes.start(`kubelet-${name}`, binaries.kubemark, [
        ...['--morph=kubelet', `--name=${name}`, `--kubeconfig=${kubeconfigOf(name)}`, `--node-labels=${labels}`],
        ...[`--kubelet-port=${port}`, `--kubelet-read-only-port=${readOnlyPort}`, '--use-host-image-service=false'],
      ]);
      return processes.logFile(`kubelet-${name}`);
    },
    async stopKubelet(name) {
      await processes.stop(`kubelet-${name}`);
    },
    async stopComponent(name, signal) {
      await processes.stop(name, signal);
    },
    async startComponent(name) {
      await startComponent(name);
      await ready();
    },
    auditEvents,
    async auditAnnotations(auditId) {
      let annotations: Readonly<Record<string, unknown>> | undefined;
      await eventually('the audit event', () => {
        const event = auditEvents().find((candidate) => candidate.auditID === auditId);
        annotations = event === undefined ? undefined : Object(event.annotations);
        return annotations !== undefined;
      });
      return annotations ?? {};
    },
    async close() {
      api.close();
      await processes.close();
    },
  };
}

/** Services have addresses of loopback, of this process's own, so that one can be listened on. */
function serviceRange(): string {
  return `127.${128 + ((process.pid >> 8) & 63)}.${process.pid & 255}`;
}

/** Name in this code, name and group in the API server. */
type User = readonly [name: string, user: string, group: string];

const usersWith = (nodes: readonly string[]): readonly User[] => [
  ['admin', 'admin', 'system:masters'],
  ...nodes.map((name): User => [name, `system:node:${name}`, 'system:nodes']),
];
/** By which the API server knows a user of `kubeconfig`. */
export const tokenOf = (user: string): string => `${user}-token`;
const auditLogName = 'api-audit.log';

interface CommandInput extends ControlPlaneOptions {
  readonly folder: string;
  readonly ports: readonly number[];
  /** First three numbers of the addresses of Services. */
  readonly services: string;
  readonly users: readonly User[];
  /** Kubeconfig of the admin, for the components too. */
  readonly admin: string;
  readonly file: (name: string, text: string) => string;
  readonly certPem: string;
  readonly keyPem: string;
  readonly caFile: string;
}

function commandsOf(input: CommandInput): Readonly<Record<Component, readonly [Component, ...string[]]>> {
  const { folder, services, users, admin, file, certPem, keyPem, caFile, admissionConfig, callsEndpoints } = input;
  const [etcdPort, peerPort, apiPort, managerPort, schedulerPort, kwokPort] = input.ports;
  const client = `http://127.0.0.1:${etcdPort}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  const accounts = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const accountsPublic = file('sa.pub', accounts.publicKey.export({ type: 'spki', format: 'pem' }).toString());
  const accountsPrivate = file('sa.key', accounts.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
  const tokens = users.map(([name, user, group]) => `${tokenOf(name)},${user},${user},"${group}"\n`).join('');
  const tls = [
    ...['--tls-cert-file', file('api.crt', certPem)],
    ...['--tls-private-key-file', file('api.key', keyPem)],
  ];
  const component = [
    ...['--kubeconfig', admin, '--authentication-kubeconfig', admin, '--authorization-kubeconfig', admin],
    ...['--leader-elect=false', '--bind-address', '127.0.0.1'],
  ];
  return {
    etcd: [
      'etcd',
      ...['--data-dir', join(folder, 'etcd'), '--unsafe-no-fsync'],
      ...['--listen-client-urls', client, '--advertise-client-urls', client],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `default=${peer}`],
    ],
    'kube-apiserver': [
      'kube-apiserver',
      ...['--etcd-servers', client, '--bind-address', '127.0.0.1', '--advertise-address', '127.0.0.1'],
      // Loopback is no address that it would publish.
      ...['--secure-port', String(apiPort), '--endpoint-reconciler-type', 'none'],
      ...['--service-cluster-ip-range', `${services}.0/24`, ...tls],
      // Where `kubectl logs` finds a kubelet: node-agent/ stands at an address of this kind.
      ...['--kubelet-preferred-address-types', 'ExternalIP'],
      ...['--token-auth-file', file('tokens.csv', tokens)],
      ...['--authorization-mode', 'RBAC,Node', '--enable-admission-plugins', 'NodeRestriction'],
      ...['--service-account-issuer', 'https://kubernetes.default.svc'],
      ...['--service-account-key-file', accountsPublic, '--service-account-signing-key-file', accountsPrivate],
      ...[
        '--audit-log-path',
        join(folder, auditLogName),
        '--audit-policy-file',
        file('audit.yaml', auditPolicy(input)),
      ],
      ...(admissionConfig === undefined ? [] : ['--admission-control-config-file', admissionConfig]),
      ...(callsEndpoints === true ? ['--enable-aggregator-routing'] : []),
    ],
    'kube-controller-manager': [
      'kube-controller-manager',
      ...component,
      ...['--secure-port', String(managerPort), '--root-ca-file', caFile],
      // As kubeadm has it: each controller is a service account of its own, and who makes a pod is a thing that policies name.
      ...['--service-account-private-key-file', accountsPrivate, '--use-service-account-credentials'],
    ],
    'kube-scheduler': [
      'kube-scheduler',
      ...component,
      ...['--secure-port', String(schedulerPort), '--config', file('scheduler.yaml', schedulerConfig(admin))],
    ],
    kwok: [
      'kwok',
      ...['--config', file('kwok.yaml', toYaml(kwokStages)), '--kubeconfig', admin],
      ...['--server-address', `127.0.0.1:${kwokPort}`, '--node-lease-duration-seconds', '40'],
      ...[`--manage-nodes-with-annotation-selector=${Object.entries(kwokAnnotation)[0]?.join('=')}`],
    ],
  };
}

/** Every write, without bodies; the first rule that fits counts. */
const auditPolicy = ({ auditedUsers = [] }: ControlPlaneOptions): string =>
  stringify({
    apiVersion: 'audit.k8s.io/v1',
    kind: 'Policy',
    omitStages: ['RequestReceived'],
    rules: [
      ...(auditedUsers.length > 0 ? [{ level: 'Metadata', users: auditedUsers }] : []),
      { level: 'None', verbs: ['get', 'list', 'watch'] },
      { level: 'None', resources: [{ group: 'coordination.k8s.io' }, { group: '', resources: ['events'] }] },
      { level: 'Metadata' },
    ],
  });

/** OSMO's pods name the scheduler of KAI; here the default scheduler answers to that name, too. */
function schedulerConfig(kubeconfig: string): string {
  return stringify({
    apiVersion: 'kubescheduler.config.k8s.io/v1',
    kind: 'KubeSchedulerConfiguration',
    clientConnection: { kubeconfig, qps: 500, burst: 1000 },
    leaderElection: { leaderElect: false },
    profiles: [{ schedulerName: 'default-scheduler' }, { schedulerName: 'kai-scheduler' }],
  });
}

function kubeconfigText(input: { server: string; caFile: string; user: string; token: string }): string {
  const { server, caFile, user, token } = input;
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'e2e',
    contexts: [{ name: 'e2e', context: { cluster: 'e2e', user } }],
    clusters: [{ name: 'e2e', cluster: { server, 'certificate-authority': caFile } }],
    users: [{ name: user, user: { token } }],
  });
}

async function untilReady(run: ControlPlane['kubectl'], log: string): Promise<void> {
  for (let attempt = 0; attempt < 240; attempt++) {
    const { stdout } = await run(['get', '--raw', '/readyz']);
    if (stdout === 'ok') return;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  throw new Error(`the API server did not become ready within a minute; its log ends:\n${tail(log)}`);
}

export const toYaml = (objects: readonly object[]): string => objects.map((object) => stringify(object)).join('---\n');

/** Runs a command to its end. @param env beside this process's own. */
export function runCommand(
  command: string,
  args: readonly string[],
  stdin = '',
  env: Readonly<Record<string, string>> = {},
): Promise<Said> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
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
    // A command that does not read its input closes it early.
    child.stdin.on('error', () => undefined);
    child.stdin.end(stdin);
  });
}
