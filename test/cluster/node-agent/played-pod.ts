import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { contained, type Mount } from '../../support/contained.ts';
import type { ControlPlane } from '../control-plane.ts';
import type { Running } from '../processes.ts';
import type { PodObject } from './pod-object.ts';
import { fieldOf, syncVolume } from './volumes.ts';

/** Where a pod is reached: the address that Kubernetes is told, which may not be loopback, and the one that its server really listens on. */
export interface PodAddress {
  readonly ip: string;
  readonly loopback: string;
}

export interface PodHost {
  readonly plane: ControlPlane;
  /** Root file system of the image. */
  readonly image: string;
  readonly address: PodAddress;
  /** Of the Service `kubernetes`. */
  readonly apiServerIp: string;
}

/** One pod, played from its first volume to its last status. */
export interface PlayedPod {
  /** Name of its process, and so of its log. */
  readonly process: string;
  readonly address: PodAddress;
  /** Of its container's process. @throws Error while none runs. */
  pid(): number;
  /** Does what is due now: mounts, starts, probes, restarts. */
  step(): Promise<void>;
  /** SIGTERM, and SIGKILL when its grace is over; the pod is gone from the API server then. */
  end(graceSeconds: number): Promise<void>;
}

type ProbeState = { atMs: number; failures: number };

const longestBackoffMs = 10_000;

export function playPod(pod: PodObject, { plane, image, address, apiServerIp }: PodHost): PlayedPod {
  const { name, namespace, uid } = pod.metadata;
  const [container, ...others] = pod.spec.containers;
  if (container === undefined || others.length > 0 || (pod.spec.initContainers ?? []).length > 0)
    throw new Error(`${name}: pods of one container are played here`);
  if (container.securityContext?.readOnlyRootFilesystem !== true)
    throw new Error(`${name}: only a read-only root is played here`);
  const folder = join(plane.folder, 'pods', uid);
  const processName = `pod-${name}`;
  const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
  const readiness: ProbeState = { atMs: 0, failures: 0 };
  const liveness: ProbeState = { atMs: 0, failures: 0 };
  let child: Running | undefined;
  let exit: { readonly code: number | null } | undefined;
  let restarts = 0;
  let restartAtMs = 0;
  let ending = false;
  let said = '';

  const port = (wanted: string | number): number =>
    container.ports?.find((candidate) => candidate.name === wanted)?.containerPort ?? Number(wanted);

  /** Written only where it says something new. */
  const report = async (phase: string, ready: boolean, state: object): Promise<void> => {
    const status = {
      phase,
      podIP: address.ip,
      podIPs: [{ ip: address.ip }],
      hostIP: '10.20.0.1',
      conditions: ['PodReadyToStartContainers', 'Initialized', 'ContainersReady', 'Ready', 'PodScheduled'].map(
        (type) => ({
          type,
          status: ready || (type !== 'Ready' && type !== 'ContainersReady') ? 'True' : 'False',
        }),
      ),
      containerStatuses: [
        { name: container.name, image: container.image, imageID: '', ready, restartCount: restarts, state },
      ],
    };
    const text = JSON.stringify(status);
    if (text === said) return;
    const { code, body } = await plane.api.send(
      'PATCH',
      `${path}/status`,
      { status },
      {
        contentType: 'application/merge-patch+json',
      },
    );
    if (code !== 200 && code !== 404) throw new Error(`status of ${name}: ${JSON.stringify(body)}`);
    said = text;
  };

  const mount = async (): Promise<readonly Mount[] | undefined> => {
    mkdirSync(folder, { recursive: true });
    const folders = new Map<string, string>();
    for (const volume of pod.spec.volumes ?? []) {
      const synced = await syncVolume(plane, pod, volume, folder);
      if ('missing' in synced) {
        await report('Pending', false, { waiting: { reason: 'ContainerCreating', message: `no ${synced.missing}` } });
        return undefined;
      }
      folders.set(volume.name, synced.folder);
    }
    return (container.volumeMounts ?? []).map(({ name: volume, mountPath, readOnly = false }) => ({
      from: folders.get(volume) ?? '',
      to: mountPath,
      readOnly,
    }));
  };

  const start = async (mounts: readonly Mount[]): Promise<void> => {
    const env = Object.fromEntries(
      (container.env ?? []).map(({ name: key, value, valueFrom }) => [
        key,
        value ?? fieldOf({ ...pod, status: { podIP: address.ip } } as PodObject, valueFrom?.fieldRef?.fieldPath ?? ''),
      ]),
    );
    const { runAsUser, fsGroup } = pod.spec.securityContext ?? {};
    const [command = '', ...args] = contained({
      rootfs: image,
      mounts,
      hostname: name,
      env: {
        KUBERNETES_SERVICE_HOST: apiServerIp,
        KUBERNETES_SERVICE_PORT: '443',
        // No pod here has a network of its own: each takes an address of its own instead.
        OSMO_ADMISSION_HOST: address.loopback,
        ...env,
      },
      ...(runAsUser !== undefined && { user: `${runAsUser}:0` }),
      ...(fsGroup !== undefined && { groups: [fsGroup] }),
    });
    exit = undefined;
    for (const probe of [readiness, liveness]) Object.assign(probe, { atMs: Date.now(), failures: 0 });
    const started = await plane.processes.run(processName, command, [...args, ...(container.args ?? [])]);
    child = started;
    void started.ended.then((code) => {
      if (child === started) exit = { code };
    });
    await report('Running', container.readinessProbe === undefined, { running: {} });
  };

  const afterExit = async (code: number | null): Promise<void> => {
    const terminated = { exitCode: code ?? 137, reason: code === 0 ? 'Completed' : 'Error' };
    const { restartPolicy } = pod.spec;
    if (restartPolicy === 'Never' || (restartPolicy === 'OnFailure' && code === 0)) {
      await report(code === 0 ? 'Succeeded' : 'Failed', false, { terminated });
      return;
    }
    restarts += 1;
    restartAtMs = Date.now() + Math.min(500 * 2 ** restarts, longestBackoffMs);
    child = undefined;
    exit = undefined;
    await report('Running', false, { waiting: { reason: 'CrashLoopBackOff' } });
  };

  /** @returns undefined where none is due. */
  const probe = async (
    { httpGet, periodSeconds = 10 }: NonNullable<typeof container.readinessProbe>,
    state: ProbeState,
  ): Promise<boolean | undefined> => {
    // Four times as often as asked: a test waits for it.
    if (httpGet === undefined || Date.now() < state.atMs) return undefined;
    state.atMs = Date.now() + periodSeconds * 250;
    try {
      const { status } = await fetch(`http://${address.loopback}:${port(httpGet.port)}${httpGet.path}`, {
        signal: AbortSignal.timeout(1_000),
      });
      return status >= 200 && status < 400;
    } catch {
      return false;
    }
  };

  return {
    process: processName,
    address,
    pid() {
      if (child === undefined) throw new Error(`${name} does not run`);
      return child.pid;
    },
    async step() {
      if (ending) return;
      if (exit !== undefined) {
        await afterExit(exit.code);
        return;
      }
      if (child === undefined && Date.now() < restartAtMs) return;
      const mounts = await mount();
      if (mounts === undefined) return;
      if (child === undefined) await start(mounts);
      const { readinessProbe, livenessProbe } = container;
      if (readinessProbe !== undefined) {
        const ready = await probe(readinessProbe, readiness);
        readiness.failures = ready === false ? readiness.failures + 1 : 0;
        if (ready === true) await report('Running', true, { running: {} });
        else if (readiness.failures >= (readinessProbe.failureThreshold ?? 3))
          await report('Running', false, { running: {} });
      }
      if (livenessProbe !== undefined) {
        const alive = await probe(livenessProbe, liveness);
        if (alive !== undefined) liveness.failures = alive ? 0 : liveness.failures + 1;
        if (liveness.failures >= (livenessProbe.failureThreshold ?? 3))
          await plane.processes.stop(processName, 'SIGTERM', 30_000);
      }
    },
    async end(graceSeconds) {
      ending = true;
      if (child !== undefined) await plane.processes.stop(processName, 'SIGTERM', graceSeconds * 1000);
      await plane.api.send('DELETE', path, { gracePeriodSeconds: 0, preconditions: { uid } });
    },
  };
}
