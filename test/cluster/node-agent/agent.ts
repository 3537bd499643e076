import type { ControlPlane } from '../control-plane.ts';
import { playedNames } from '../kwok-stages.ts';
import { startKubeletLogs } from './kubelet-logs.ts';
import { type PlayedPod, type PodAddress, playPod } from './played-pod.ts';
import type { PodObject } from './pod-object.ts';
import { type ServiceProxy, startServiceProxy } from './service-proxy.ts';
import { claimFolder } from './volumes.ts';

/*
 * Plays kubelet, kube-proxy and a provisioner of volumes for the webhook's own pods, since no container runs here: what a Deployment, a
 * StatefulSet or a Job makes is scheduled by the real scheduler, and then its process is run as its pod says, in the image's root file
 * system, and `kubectl logs` shows what it wrote. Nodes and all other pods are kwok's.
 */

export interface AgentOptions {
  readonly namespace: string;
  /** Root file system of the image. */
  readonly image: string;
}

export interface NodeAgent {
  /** Names of the pods that are played now. */
  readonly pods: () => readonly string[];
  /** Path of what a pod's container wrote, also after its end. */
  readonly logFile: (pod: string) => string;
  /** Of its container's process. @throws Error while none runs. */
  readonly pid: (pod: string) => number;
  /** Where a pod's health port is reached. */
  readonly address: (pod: string) => string;
  /**
   * How long after a ConfigMap or Secret has changed the files of a pod that runs have it: a kubelet takes up to 90 s, each for itself. Asked again and
   * again, so a change that waits goes by the last word; 0 at first.
   */
  readonly delayVolumes: (delayMs: (pod: string) => number) => void;
  /** Names of the pods with files that wait so. */
  readonly latePods: () => readonly string[];
  /** Kills a container's process, as the kernel does when memory is short. */
  readonly kill: (pod: string) => Promise<void>;
  /** Sends a container's process a signal, such as SIGSTOP: it hangs. */
  readonly signal: (pod: string, name: NodeJS.Signals) => void;
  /** Stops playing; processes go on. @throws Error with what went wrong while it played. */
  readonly close: () => Promise<void>;
}

const lookMs = 200;

export async function startNodeAgent(plane: ControlPlane, { namespace, image }: AgentOptions): Promise<NodeAgent> {
  const played = new Map<string, PlayedPod>();
  const addresses = new Map<string, PodAddress>();
  const proxies = new Map<string, ServiceProxy>();
  const errors: unknown[] = [];
  let volumeDelay = (_pod: string): number => 0;
  const addressOf = createAddresses();
  const kubernetes = await plane.api.send('GET', '/api/v1/namespaces/default/services/kubernetes');
  const apiServerIp: string = kubernetes.body.spec.clusterIP;
  const apiServer = await startServiceProxy(apiServerIp, 443);
  await apiServer.set([{ host: '127.0.0.1', port: Number(new URL(plane.server).port) }]);
  const logs = await startKubeletLogs((pod) =>
    [...played.values()].some(({ process }) => process === `pod-${pod}`)
      ? plane.processes.logFile(`pod-${pod}`)
      : undefined,
  );
  const withLogs = new Set<string>();
  /** Where the API server finds the kubelet of a node: it asks at the external address, which nothing else here goes by. */
  const offerLogs = async (node: string): Promise<void> => {
    if (withLogs.has(node)) return;
    withLogs.add(node);
    const status = {
      addresses: [{ type: 'ExternalIP', address: '127.0.0.1' }],
      daemonEndpoints: { kubeletEndpoint: { Port: logs.port } },
    };
    const contentType = 'application/strategic-merge-patch+json';
    await plane.api.send('PATCH', `/api/v1/nodes/${node}/status`, { status }, { contentType });
  };

  const playPods = async (): Promise<void> => {
    const pods = (await plane.api.list(`/api/v1/namespaces/${namespace}/pods`)) as readonly object[] as PodObject[];
    for (const pod of pods.filter(isPlayed)) {
      const { uid, deletionTimestamp, deletionGracePeriodSeconds = 30 } = pod.metadata;
      let player = played.get(uid);
      if (player === undefined) {
        if (deletionTimestamp !== undefined) {
          // Deleted before it was seen: nothing of it runs.
          await plane.api.send('DELETE', pathOf(pod), { gracePeriodSeconds: 0, preconditions: { uid } });
          continue;
        }
        player = playPod(pod, {
          ...{ plane, image, address: addressOf(), apiServerIp },
          volumeDelayMs: () => volumeDelay(pod.metadata.name),
        });
        played.set(uid, player);
        addresses.set(pod.metadata.name, player.address);
        await offerLogs(pod.spec.nodeName ?? '');
      }
      if (deletionTimestamp === undefined) await player.step();
      else void end(uid, player, deletionGracePeriodSeconds);
    }
    // Deleted at once: by force, or after its end.
    const known = new Set(pods.map(({ metadata }) => metadata.uid));
    for (const [uid, player] of played) if (!known.has(uid)) void end(uid, player, 0);
  };
  const ending = new Set<string>();
  const end = async (uid: string, player: PlayedPod, graceSeconds: number): Promise<void> => {
    if (ending.has(uid)) return;
    ending.add(uid);
    await player.end(graceSeconds).catch((error: unknown) => errors.push(error));
    played.delete(uid);
  };

  const playServices = async (): Promise<void> => {
    const services = await plane.api.list(`/api/v1/namespaces/${namespace}/services`);
    const slices = await plane.api.list(`/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`);
    const wanted = new Map<string, readonly { readonly host: string; readonly port: number }[]>();
    // biome-ignore lint/suspicious/noExplicitAny: as the API server gives them.
    for (const service of services as readonly any[]) {
      const { clusterIP } = service.spec;
      if (clusterIP === undefined || clusterIP === 'None') continue;
      // biome-ignore lint/suspicious/noExplicitAny: as the API server gives them.
      const own = (slices as readonly any[]).filter(
        ({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === service.metadata.name,
      );
      for (const { name, port } of service.spec.ports) {
        const endpoints = own.flatMap(({ endpoints: some, ports }) => {
          const target = ports?.find((candidate: { name?: string }) => (candidate.name ?? '') === (name ?? ''))?.port;
          return (some ?? []).map((endpoint: Endpoint) => ({ ...endpoint, port: target }));
        });
        const backends = reachable(endpoints).flatMap(({ addresses: [ip], port: target }) => {
          const address = [...addresses.values()].find((candidate) => candidate.ip === ip);
          return address === undefined ? [] : [{ host: address.loopback, port: target }];
        });
        wanted.set(`${clusterIP} ${port}`, backends);
      }
    }
    for (const [key, proxy] of proxies) {
      if (wanted.has(key)) continue;
      proxy.close();
      proxies.delete(key);
    }
    for (const [key, backends] of wanted) {
      const [ip = '', port = ''] = key.split(' ');
      let proxy = proxies.get(key);
      if (proxy === undefined) {
        proxy = await startServiceProxy(ip, Number(port));
        proxies.set(key, proxy);
      }
      await proxy.set(backends);
    }
  };

  let closed = false;
  const play = async (): Promise<void> => {
    while (!closed) {
      for (const part of [playPods, playServices, () => provisionClaims(plane, namespace)]) {
        await part().catch((error: unknown) => {
          // The API server may be away, as in a real cluster.
          if (!isAway(error)) errors.push(error);
        });
      }
      await new Promise((resolve) => setTimeout(resolve, lookMs));
    }
  };
  const playing = play();
  const named = (pod: string): PlayedPod => {
    const found = [...played.values()].find(({ process }) => process === `pod-${pod}`);
    if (found === undefined) throw new Error(`no pod ${pod} is played`);
    return found;
  };
  const names = (players: readonly PlayedPod[]): readonly string[] =>
    players.map(({ process }) => process.slice('pod-'.length));
  return {
    pods: () => names([...played.values()]),
    delayVolumes(delayMs) {
      volumeDelay = delayMs;
    },
    latePods: () => names([...played.values()].filter((player) => player.isLate())),
    logFile: (pod) => plane.processes.logFile(`pod-${pod}`),
    pid: (pod) => named(pod).pid(),
    address: (pod) => named(pod).address.loopback,
    kill: async (pod) => {
      await plane.processes.stop(named(pod).process, 'SIGKILL');
    },
    signal: (pod, name) => process.kill(named(pod).pid(), name),
    async close() {
      closed = true;
      await playing;
      for (const part of [apiServer, logs, ...proxies.values()]) part.close();
      if (errors.length > 0) throw new AggregateError(errors, `the node agent: ${errors.map(String).join('\n')}`);
    },
  };
}

const pathOf = ({ metadata: { namespace, name } }: PodObject): string => `/api/v1/namespaces/${namespace}/pods/${name}`;

interface Endpoint {
  readonly addresses: readonly string[];
  readonly conditions: { readonly ready?: boolean; readonly serving?: boolean; readonly terminating?: boolean };
  readonly port: number;
}

/** As kube-proxy chooses: the ready ones, and where there is none those that end and still serve (ProxyTerminatingEndpoints, on since 1.26). */
function reachable(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const ready = endpoints.filter(({ conditions }) => conditions.ready === true);
  if (ready.length > 0) return ready;
  return endpoints.filter(({ conditions }) => conditions.serving === true && conditions.terminating === true);
}

/** Whether kwok leaves it to us. */
function isPlayed(pod: PodObject): boolean {
  const labels: Readonly<Record<string, string>> = Object(Object(pod.metadata).labels);
  return pod.spec.nodeName !== undefined && playedNames.includes(labels['app.kubernetes.io/name'] ?? '');
}

const isAway = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ECONNREFUSED' || error.code === 'ECONNRESET');

/** Addresses for pods of this process, so that two runs do not meet. */
function createAddresses(): () => PodAddress {
  const { pid } = process;
  let count = 0;
  return () => {
    count += 1;
    return {
      ip: `10.88.${count >> 8}.${count & 255}`,
      loopback: `127.${192 + ((pid >> 8) & 63)}.${pid & 255}.${1 + (count % 254)}`,
    };
  };
}

/** Gives each claim a volume, as a provisioner with no storage class does for one made by hand; controllers then bind the two. */
async function provisionClaims(plane: ControlPlane, namespace: string): Promise<void> {
  const claims = await plane.api.list(`/api/v1/namespaces/${namespace}/persistentvolumeclaims`);
  // biome-ignore lint/suspicious/noExplicitAny: as the API server gives them.
  for (const { metadata, spec, status } of claims as readonly any[]) {
    if (status?.phase !== 'Pending') continue;
    await plane.api.send('POST', '/api/v1/persistentvolumes', {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: `claimed-${metadata.uid}` },
      spec: {
        capacity: spec.resources.requests,
        accessModes: spec.accessModes,
        persistentVolumeReclaimPolicy: 'Retain',
        storageClassName: spec.storageClassName ?? '',
        claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', name: metadata.name, namespace },
        hostPath: { path: claimFolder(plane, metadata.name) },
      },
    });
  }
}
