import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../support/fixtures.ts';
import type { ControlPlane } from './control-plane.ts';
import { namespace, ownAddress, root, webhookName } from './installation.ts';
import { createReplica, type Replica } from './replica.ts';

/*
 * The webhook with --tls-self-signed, two replicas behind the Service, with the rights of its own service account: those of `webhook-config/`
 * and exactly those that this mode needs. Nobody stands in for cert-manager here.
 */

export const caSecret = `/api/v1/namespaces/${namespace}/secrets/${webhookName}-ca`;
export const tlsSecret = `/api/v1/namespaces/${namespace}/secrets/${webhookName}-tls`;
export const certificatesLease = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${webhookName}-certificates`;

/** A replica, and the port on which it answers the API server. */
export interface SelfSignedReplica extends Replica {
  port(): number;
}

export interface SelfSignedInstallation {
  readonly address: string;
  readonly replicas: readonly SelfSignedReplica[];
  /** Where the replicas answer now. */
  endpoints(): readonly { readonly host: string; readonly port: number }[];
  close(): Promise<void>;
}

/** The webhook configurations as a chart renders them in this mode: no annotation for cert-manager, no caBundle. */
export function configurations(): readonly KubeObject[] {
  return objectsOf('03-webhooks.yaml').map((object) => {
    const { annotations: _, ...metadata } = Object(object.metadata);
    return { ...object, metadata };
  });
}

/** Installs everything but servers, which the caller starts. */
export async function installSelfSigned(plane: ControlPlane): Promise<SelfSignedInstallation> {
  const address = await ownAddress();
  const workload = objectsOf('01-workload.yaml').filter(({ kind }) => kind !== 'Deployment');
  await plane.apply(['apply', '-f', '-'], [...workload, ...grants]);
  await plane.apply(['apply', '-f', '-'], [serviceTo(address)]);
  await plane.apply(['apply', '-f', '-'], configurations());
  const { stdout: token } = await plane.apply(['create', 'token', webhookName, '-n', namespace, '--duration', '12h']);
  const kubeconfig = plane.writeKubeconfig('webhook', token.trim());
  const policyFile = join(plane.folder, 'policy.yaml');
  writeFileSync(policyFile, 'apiVersion: osmo-admission/v1alpha1\nkind: AdmissionPolicy\n');
  const replicas = ['webhook-1', 'webhook-2'].map((name) => {
    const auditFile = join(plane.folder, `audit-${name}.log`);
    const replica = createReplica(plane.processes, {
      ...{ name, host: address, auditFile, command: join(root, 'bin', 'osmo-admission') },
      args: [
        ...['serve', '--tls-self-signed', '--kubeconfig', kubeconfig, '--namespace', namespace, '--config', policyFile],
        ...['--host', address, '--port', '0', '--health-port', '0', '--shutdown-delay', '0s'],
        ...['--audit-log', auditFile, '--reload-interval', '1s'],
      ],
    });
    const port = (): number =>
      Number(replica.log().findLast(({ message }) => message === 'serving')?.admissionPort ?? 0);
    return { ...replica, port };
  });
  const balancer = await balance(address, replicas);
  const endpoints = (): ReturnType<SelfSignedInstallation['endpoints']> =>
    replicas.map(({ port }) => ({ host: address, port: port() }));
  return { address, replicas, endpoints, close: balancer };
}

function objectsOf(file: string): readonly KubeObject[] {
  return parseAllDocuments(readFileSync(join(root, 'webhook-config', file), 'utf8')).map((document) => document.toJS());
}

const serviceTo = (address: string): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: webhookName, namespace },
  spec: { type: 'ExternalName', externalName: address },
});

const rbac = 'rbac.authorization.k8s.io';
const grantsName = `${webhookName}-certificates`;
const subjects = [{ kind: 'ServiceAccount', name: webhookName, namespace }];
const secretNames = [`${webhookName}-ca`, `${webhookName}-tls`];

const grants: readonly object[] = [
  {
    apiVersion: `${rbac}/v1`,
    kind: 'Role',
    metadata: { name: grantsName, namespace },
    rules: [
      { apiGroups: [''], resources: ['secrets'], verbs: ['create'] },
      { apiGroups: [''], resources: ['secrets'], resourceNames: secretNames, verbs: ['get', 'update'] },
      { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
      {
        apiGroups: ['coordination.k8s.io'],
        resources: ['leases'],
        resourceNames: [`${webhookName}-certificates`],
        verbs: ['get', 'update'],
      },
    ],
  },
  {
    apiVersion: `${rbac}/v1`,
    kind: 'RoleBinding',
    metadata: { name: grantsName, namespace },
    roleRef: { apiGroup: rbac, kind: 'Role', name: grantsName },
    subjects,
  },
  {
    apiVersion: `${rbac}/v1`,
    kind: 'ClusterRole',
    metadata: { name: grantsName },
    rules: [
      {
        apiGroups: ['admissionregistration.k8s.io'],
        resources: ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'],
        resourceNames: [webhookName],
        verbs: ['get', 'patch'],
      },
    ],
  },
  {
    apiVersion: `${rbac}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name: grantsName },
    roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: grantsName },
    subjects,
  },
];

/** Stands in for kube-proxy: gives each connection to the next replica. @returns what ends it. */
async function balance(address: string, replicas: readonly SelfSignedReplica[]): Promise<() => Promise<void>> {
  const sockets = new Set<Socket>();
  let turn = 0;
  const server = createServer((client) => {
    turn += 1;
    const upstream = connect(replicas[turn % replicas.length]?.port() ?? 0, address);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    client.pipe(upstream).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(443, address, resolve));
  return async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
}
