import type { ApiAnswer, ApiClient } from '../../cluster/api-client.ts';
import { type ControlPlane, tokenOf } from '../../cluster/control-plane.ts';
import { fixtureNode, type KubeObject } from '../../support/fixtures.ts';

/*
 * Kubelets by what they send, many at a time: registration, heartbeats of nodes/status and of the Lease (kubernetes.io/docs/reference/node/node-status,
 * "Heartbeats"). Each has a token and a connection of its own, so that the API server sees as many users as nodes: an impersonated node would
 * pass the same NodeRestriction and Node authorizer, but as a request of the admin's that is rewritten, over the admin's connections.
 * None bears kwok's annotation, or kwok would send the heartbeats.
 */

export type FleetType = 'operator' | 'compute' | 'gpu' | 'jetson';

export interface FleetNode {
  readonly name: string;
  readonly type: FleetType;
  /** Of the driver that its feature discovery finds; only of type gpu. */
  readonly driver?: string;
}

export interface Kubelet {
  readonly node: FleetNode;
  register(): Promise<ApiAnswer>;
  /** The conditions with a new time, as a kubelet patches them when nothing else has changed; with labels, as one that sets its own right. */
  heartbeat(labels?: Readonly<Record<string, string>>): Promise<ApiAnswer>;
  /** Creates its Lease the first time. */
  renewLease(): Promise<ApiAnswer>;
  close(): void;
}

/** How many of each type, in this order. */
export type FleetSize = readonly (readonly [type: FleetType, count: number, driver?: string])[];

export function fleetOf(size: FleetSize): readonly FleetNode[] {
  return size
    .flatMap(([type, count, driver]) =>
      Array.from({ length: count }, () => ({ type, ...(driver !== undefined && { driver }) })),
    )
    .map((node, i) => ({ name: `${node.type}-${i + 1}`, ...node }));
}

/** Resolves when it has asked the API server for its node once, so that its connection is there. */
export async function startKubelet(plane: ControlPlane, node: FleetNode): Promise<Kubelet> {
  const api = plane.connect(tokenOf(node.name));
  const path = `/api/v1/nodes/${node.name}`;
  const { code } = await api.send('GET', path);
  if (code !== 404) throw new Error(`GET ${path}: ${code}, and it is not registered`);
  const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
  let lease: KubeObject | undefined;
  return {
    node,
    register: () => api.send('POST', '/api/v1/nodes', registrationOf(node)),
    heartbeat: (labels) => sendHeartbeat(api, path, labels),
    async renewLease() {
      const spec = { holderIdentity: node.name, leaseDurationSeconds: 40, renewTime: microTime() };
      const answer =
        lease === undefined
          ? await api.send('POST', leases, { metadata: { name: node.name }, spec })
          : await api.send('PUT', `${leases}/${node.name}`, { ...lease, spec });
      lease = answer.body;
      return answer;
    },
    close: () => api.close(),
  };
}

const conditionTypes = ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready'];

function conditions(): readonly object[] {
  const now = new Date().toISOString();
  return conditionTypes.map((type) => ({
    type,
    status: type === 'Ready' ? 'True' : 'False',
    reason: 'Kubelet',
    message: 'as it should be',
    lastHeartbeatTime: now,
    lastTransitionTime: now,
  }));
}

/** A node of its type of the fixture cluster, with the labels that a kubelet gives itself and none of a feature discovery. */
function registrationOf({ name, type }: FleetNode): object {
  const { metadata, status, ...rest } = fixtureNode(`${type}-1`);
  const labels = Object.entries<string>(Object(metadata).labels).filter(([key]) => !key.startsWith('nvidia.com/'));
  const number = Number(name.split('-')[1]);
  return {
    ...rest,
    metadata: {
      name,
      labels: {
        ...Object.fromEntries(labels),
        'kubernetes.io/hostname': name,
        // The node controller would add these to a node without them.
        'beta.kubernetes.io/os': 'linux',
        'beta.kubernetes.io/arch': Object(status).nodeInfo.architecture,
      },
    },
    status: {
      ...Object(status),
      conditions: conditions(),
      addresses: [
        { type: 'InternalIP', address: `10.21.${number >> 8}.${number & 255}` },
        { type: 'Hostname', address: name },
      ],
    },
  };
}

function sendHeartbeat(api: ApiClient, path: string, labels?: Readonly<Record<string, string>>): Promise<ApiAnswer> {
  const now = new Date().toISOString();
  const status = {
    '$setElementOrder/conditions': conditionTypes.map((type) => ({ type })),
    conditions: conditionTypes.map((type) => ({ type, lastHeartbeatTime: now })),
  };
  const body = { status, ...(labels !== undefined && { metadata: { labels } }) };
  return api.send('PATCH', `${path}/status`, body, { contentType: 'application/strategic-merge-patch+json' });
}

/** RFC 3339 with microseconds, as a Lease has it. */
function microTime(): string {
  return new Date().toISOString().replace('Z', '000Z');
}

/** What a feature discovery says of a node with such a driver. */
export function gpuLabels(driver: string): Readonly<Record<string, string>> {
  const labels = Object.entries<string>(Object(fixtureNode('gpu-1').metadata).labels);
  const [major = '', minor = '', revision = ''] = driver.split('.');
  return {
    ...Object.fromEntries(labels.filter(([key]) => key.startsWith('nvidia.com/'))),
    'nvidia.com/cuda.driver-version.full': driver,
    'nvidia.com/cuda.driver-version.major': major,
    'nvidia.com/cuda.driver-version.minor': minor,
    'nvidia.com/cuda.driver-version.revision': revision,
  };
}
