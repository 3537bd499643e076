import { copyFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { serverName } from '../../scripts/server-process.ts';
import { createSelfSigned, type SelfSigned } from '../../src/server/self-signed.ts';
import { type Balancer, startBalancer } from './balancer.ts';
import type { Binaries } from './binaries.ts';
import { type ControlPlane, type ControlPlaneOptions, runCommand, startControlPlane } from './control-plane.ts';
import { createReplica, type Replica } from './replica.ts';
import { osmoObjects, stubs } from './stubs.ts';
import { eventually } from './wait.ts';

/*
 * The webhook in a test cluster, as it ships: `webhook-config/`, or what `manifests` prints, applied unedited, the server with the rights of its own service account.
 * Two things stand in for what is not there: the Service becomes an ExternalName to this machine, and what cert-manager would do
 * (a certificate, and caBundle where its annotation asks for it) is done here.
 */

export const root = join(import.meta.dirname, '..', '..');
export const namespace = 'osmo-admission';
export const webhookName = 'osmo-admission-webhook';
export const policyFileName = 'policy.yaml';

/** The replica behind the Service, and what all of them share. */
export interface Installation extends Replica {
  /** Replaces the policy file, as a mounted ConfigMap is replaced; servers read it within a second. */
  writePolicy(text: string): void;
  /** Another replica of the Deployment, with files of its own; not behind the Service, and not started yet. */
  addReplica(name: string): Replica;
  /**
   * Replaces the serving certificate as a careful operator does: first both CAs in caBundle, then the files, then the new CA alone.
   * Resolves when the server serves the new one.
   */
  rotateCertificate(): Promise<void>;
}

export interface InstallOptions {
  /** The policy file. */
  readonly policy: string;
  /** Applies what `osmo-admission manifests` prints for this policy; left out, `webhook-config/`, which is that of the defaults. */
  readonly ownManifests?: boolean;
  /** Where the server finds the API server, if not at its own address. */
  readonly apiServer?: string;
  /** Arguments of the server behind the Service beside the usual ones. */
  readonly serverArgs?: readonly string[];
}

/**
 * Starts a control plane and prepares it for OSMO. @throws Error with what went wrong; then nothing of it runs any more.
 * @param moreKubelets as for `startControlPlane`. @param options the same.
 */
export async function startCluster(
  binaries: Binaries,
  moreKubelets: readonly string[] = [],
  options: ControlPlaneOptions = {},
): Promise<ControlPlane> {
  const plane = await startControlPlane(binaries, moreKubelets, options);
  try {
    await prepareCluster(plane);
    return plane;
  } catch (error) {
    await plane.close();
    throw error;
  }
}

/** What OSMO's pods name, and definitions of what the manifests hold. */
async function prepareCluster(plane: ControlPlane): Promise<void> {
  await plane.apply(['apply', '-f', '-'], [...stubs, ...osmoObjects]);
  await plane.apply(['wait', '--for', 'condition=Established', '--all', 'customresourcedefinitions']);
  for (const name of ['osmo-workflows', 'default']) {
    await eventually(
      'the service account',
      async () => (await plane.kubectl(['get', 'sa', 'default', '-n', name])).code === 0,
    );
  }
}

/** Several replicas behind the Service, each with files of its own. */
export interface BalancedInstallation {
  readonly balancer: Balancer;
  writePolicy(text: string): void;
  /** One that writes its audit log to `audit-<name>.log` of the control plane's folder; not started yet. @param flags more of its own. */
  addReplica(name: string, flags: readonly string[]): Replica;
  /** Shares the API server's calls between these, which run. Resolves when it calls them. */
  serve(replicas: readonly Replica[]): Promise<void>;
  /** Files of the serving certificate of its own, for a replica that shall have another one before the rest. @returns its flags. */
  ownCertificate(): readonly string[];
  /** A certificate with another key, which caBundle trusts too, for a replica with files of its own. They are read within a second. */
  renewOwnCertificate(): Promise<void>;
  /** The same one for the rest. */
  shareCertificate(): void;
  close(): Promise<void>;
}

/** Installs into a cluster; resolves when the API server calls the webhook. */
export async function install(plane: ControlPlane, options: InstallOptions): Promise<Installation> {
  const installation = createInstallation(plane, await applyInstallation(plane, options));
  await installation.startServer();
  await untilCalled(plane);
  return installation;
}

/** Installs into a cluster, without a server yet. */
export async function installBalanced(plane: ControlPlane, options: InstallOptions): Promise<BalancedInstallation> {
  const installed = await applyInstallation(plane, options);
  const balancer = await startBalancer(installed.address, servicePort);
  const replica = replicasOf(plane, installed);
  return {
    balancer,
    writePolicy: (text) => writeFileSync(installed.policyFile, text),
    addReplica: (name, flags) => replica(name, 0, join(plane.folder, `audit-${name}.log`), flags),
    async serve(replicas) {
      balancer.route(() => replicas.map(({ port }) => port()));
      await untilCalled(plane);
    },
    ownCertificate() {
      copyCertificate(plane.folder, 'tls', 'own');
      const [cert = '', key = ''] = certificateFiles(plane.folder, 'own');
      return ['--tls-cert-file', cert, '--tls-private-key-file', key];
    },
    async renewOwnCertificate() {
      const certificate = newCertificate();
      await injectCaBundle(plane, `${installed.ca}${certificate.caPem}`);
      writeCertificate(plane.folder, certificate, 'own');
    },
    shareCertificate: () => copyCertificate(plane.folder, 'own', 'tls'),
    close: balancer.close,
  };
}

/** What the replicas of an installation share. */
interface Installed {
  readonly address: string;
  readonly policyFile: string;
  readonly serverArgs: readonly string[];
  readonly kubeconfig: string;
  readonly ca: string;
}

const servicePort = 443;

/** Resolves when the API server calls the webhook. */
export async function untilCalled(plane: ControlPlane): Promise<void> {
  await eventually('the API server calls the webhook', async () => (await probe(plane)).includes('denied the request'));
}

async function applyInstallation(
  plane: ControlPlane,
  { policy, ownManifests = false, apiServer = plane.server, serverArgs = [] }: InstallOptions,
): Promise<Installed> {
  const address = await ownAddress();
  const policyFile = join(plane.folder, policyFileName);
  writeFileSync(policyFile, policy);
  await plane.apply([
    'apply',
    '-f',
    ownManifests ? await manifestsOf(plane, policyFile) : join(root, 'webhook-config'),
  ]);
  await plane.apply(
    ['apply', '-f', '-'],
    [
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: webhookName, namespace },
        spec: { type: 'ExternalName', externalName: address },
      },
    ],
  );
  const certificate = newCertificate();
  writeCertificate(plane.folder, certificate);
  await injectCaBundle(plane, certificate.caPem);
  const { stdout: token } = await plane.apply(['create', 'token', webhookName, '-n', namespace, '--duration', '12h']);
  const kubeconfig = plane.writeKubeconfig('webhook', token.trim(), apiServer);
  return { address, policyFile, serverArgs, ca: certificate.caPem, kubeconfig };
}

/** A folder with the manifests of a policy. */
async function manifestsOf({ folder }: ControlPlane, policyFile: string): Promise<string> {
  const directory = join(folder, 'manifests');
  const args = ['manifests', '--config', policyFile, '--namespace', namespace, '--output-dir', directory];
  const { code, stderr } = await runCommand(join(root, 'bin', 'osmo-admission'), args);
  if (code !== 0) throw new Error(`osmo-admission manifests: ${stderr}`);
  return directory;
}

/** Makes replicas; at port 0 one finds a port of its own at every start. */
function replicasOf(
  { folder, processes }: ControlPlane,
  { address, policyFile, serverArgs, kubeconfig }: Installed,
): (name: string, port: number, auditFile: string, flags?: readonly string[]) => Replica {
  return (name, port, auditFile, flags = []) =>
    createReplica(processes, {
      ...{ name, host: address, auditFile, command: join(root, 'bin', 'osmo-admission') },
      args: [
        ...['serve', '--kubeconfig', kubeconfig, '--namespace', namespace, '--config', policyFile],
        ...['--host', address, '--port', String(port), '--health-port', '0', '--shutdown-delay', '0s'],
        ...['--tls-cert-file', join(folder, 'tls.crt'), '--tls-private-key-file', join(folder, 'tls.key')],
        ...['--audit-log', auditFile, '--reload-interval', '1s', ...serverArgs, ...flags],
      ],
    });
}

function createInstallation(plane: ControlPlane, installed: Installed): Installation {
  const { folder } = plane;
  const { policyFile } = installed;
  let trusted = installed.ca;
  const replica = replicasOf(plane, installed);
  const first = replica('webhook', servicePort, join(folder, 'audit.log'));
  const { log } = first;
  return {
    ...first,
    writePolicy: (text) => writeFileSync(policyFile, text),
    addReplica: (name) => replica(name, 0, join(folder, `audit-${name}.log`)),
    async rotateCertificate() {
      const certificate = newCertificate();
      await injectCaBundle(plane, `${trusted}${certificate.caPem}`);
      // The API server takes some 0.4 s to go by a changed configuration.
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      const before = log().filter(({ message }) => message === 'certificate reloaded').length;
      writeCertificate(folder, certificate);
      await eventually(
        'the server has the new certificate',
        () => log().filter(({ message }) => message === 'certificate reloaded').length > before,
      );
      await injectCaBundle(plane, certificate.caPem);
      trusted = certificate.caPem;
    },
  };
}

function newCertificate(): SelfSigned {
  const now = Date.now();
  return createSelfSigned({
    dnsNames: [serverName],
    ipAddresses: [],
    notBefore: new Date(now - 60_000),
    notAfter: new Date(now + 24 * 3_600_000),
  });
}

function certificateFiles(folder: string, name: string): readonly string[] {
  return ['crt', 'key'].map((ending) => join(folder, `${name}.${ending}`));
}

function writeCertificate(folder: string, { certPem, keyPem }: SelfSigned, name = 'tls'): void {
  const [cert = '', key = ''] = certificateFiles(folder, name);
  writeFileSync(cert, certPem);
  writeFileSync(key, keyPem);
}

function copyCertificate(folder: string, from: string, to: string): void {
  const copies = certificateFiles(folder, to);
  certificateFiles(folder, from).forEach((file, index) => {
    copyFileSync(file, copies[index] ?? '');
  });
}

/** What cert-manager's cainjector does to objects with its annotation. */
async function injectCaBundle(plane: ControlPlane, caPem: string): Promise<void> {
  const caBundle = Buffer.from(caPem).toString('base64');
  for (const kind of ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations']) {
    const { stdout } = await plane.apply(['get', kind, '-o', 'json']);
    for (const { metadata, webhooks } of JSON.parse(stdout).items) {
      if (metadata.annotations?.['cert-manager.io/inject-ca-from'] === undefined) continue;
      const patch = webhooks.map((_: unknown, index: number) => ({
        op: 'add',
        path: `/webhooks/${index}/clientConfig/caBundle`,
        value: caBundle,
      }));
      await plane.apply(['patch', kind, metadata.name, '--type', 'json', '-p', JSON.stringify(patch)]);
    }
  }
}

/** What the API server says to a pod that our webhook denies. */
export async function probe(plane: ControlPlane): Promise<string> {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'probe', namespace: 'osmo-workflows' },
    spec: { containers: [{ name: 'c', image: 'x' }], tolerations: [{ operator: 'Exists' }] },
  };
  const { body } = await plane.api.send('POST', '/api/v1/namespaces/osmo-workflows/pods?dryRun=All', pod);
  return String(body.message);
}

/**
 * A loopback address of this process's own, so that two runs do not meet on port 443, the port in the configurations.
 * @throws Error where this user may not listen there.
 */
export async function ownAddress(): Promise<string> {
  const { pid } = process;
  const address = `127.${64 + ((pid >> 16) & 63)}.${(pid >> 8) & 255}.${pid & 255}`;
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new Error(
          `cannot listen on ${address}:443, where the API server looks for the webhook: ${error.message}. Run as root, or once: sysctl -w net.ipv4.ip_unprivileged_port_start=443`,
        ),
      ),
    );
    server.listen(servicePort, address, resolve);
  });
  await new Promise((resolve) => server.close(resolve));
  return address;
}

/** Until no pod of ours ends any more: helm waits for new ones, and those of before serve on for a while, by the values of before. */
export async function untilFormerPodsEnded(plane: ControlPlane): Promise<void> {
  await eventually('the pods of before have ended', async () => {
    const pods = await plane.api.list(`/api/v1/namespaces/${namespace}/pods`);
    return pods.every(({ metadata }) => Object(metadata).deletionTimestamp === undefined);
  });
}
