import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ControlPlane } from '../control-plane.ts';
import { mountedState, writeMounted } from '../mounted-files.ts';
import type { PodObject, Volume } from './pod-object.ts';

/*
 * What is mounted into a pod, in folders outside it: a kubelet's volume plugins, as far as our own pods name them.
 */

/** What a volume holds, or why it cannot be mounted yet. */
export type VolumeFiles = Readonly<Record<string, Buffer | string>> | { readonly missing: string };

export const isMissing = (files: VolumeFiles): files is { readonly missing: string } =>
  typeof files.missing === 'string';

type Source = Readonly<Record<string, unknown>>;

/** Where the volumes of claims are, which outlive their pods. */
export const claimFolder = (plane: ControlPlane, claim: string): string => join(plane.folder, 'claims', claim);

/** The volumes of one pod. */
export interface PodVolumes {
  /** Their folder. */
  readonly parent: string;
  /** How long after a change is seen the files have it, also for one that is seen already. */
  readonly delayMs: () => number;
  /** Since when a change is seen that the files do not have yet, by volume. */
  readonly seenMs: Map<string, number>;
}

/**
 * Brings a volume up to what the API server has now; all that is in it changes at once. A pod that starts gets it at once, as from a kubelet; one
 * that runs, late; and one that runs keeps its files when what they came from is gone.
 * @returns the folder, or why the pod must wait.
 */
export async function syncVolume(
  plane: ControlPlane,
  pod: PodObject,
  volume: Volume,
  { parent, delayMs, seenMs }: PodVolumes,
): Promise<{ readonly folder: string } | { readonly missing: string }> {
  const { name, persistentVolumeClaim, emptyDir } = volume;
  if (persistentVolumeClaim !== undefined || emptyDir !== undefined) {
    const folder =
      persistentVolumeClaim === undefined ? join(parent, name) : claimFolder(plane, persistentVolumeClaim.claimName);
    mkdirSync(folder, { recursive: true });
    shareWithGroup(folder, pod.spec.securityContext?.fsGroup);
    return { folder };
  }
  const files = await filesOf(plane, pod, volume);
  const folder = join(parent, name);
  if (isMissing(files)) return mountedState(folder, {}) === 'absent' ? files : { folder };
  const state = mountedState(folder, files);
  if (state === 'other') {
    const seen = seenMs.get(name) ?? Date.now();
    seenMs.set(name, seen);
    if (Date.now() < seen + delayMs()) return { folder };
  }
  seenMs.delete(name);
  if (state !== 'same') writeMounted(folder, files);
  return { folder };
}

/** As a kubelet does for fsGroup: the group may write, and what is made there is the group's. */
function shareWithGroup(folder: string, group: number | undefined): void {
  if (group === undefined) return;
  chownSync(folder, 0, group);
  chmodSync(folder, 0o2775);
}

async function filesOf(plane: ControlPlane, pod: PodObject, volume: Volume): Promise<VolumeFiles> {
  if (volume.projected === undefined) return filesOfSource(plane, pod, volume);
  let all: Readonly<Record<string, Buffer | string>> = {};
  for (const source of volume.projected.sources) {
    const files = await filesOfSource(plane, pod, source);
    if (isMissing(files)) return files;
    all = { ...all, ...files };
  }
  return all;
}

async function filesOfSource(plane: ControlPlane, pod: PodObject, source: object): Promise<VolumeFiles> {
  const { namespace } = pod.metadata;
  const kinds = Object.entries(source as Source).filter(([kind]) => kind !== 'name');
  const [kind = '', value] = kinds[0] ?? [];
  // biome-ignore lint/suspicious/noExplicitAny: as the API server gives it.
  const spec: any = value;
  if (kind === 'serviceAccountToken') return { [spec.path]: await tokenFor(plane, pod, spec.expirationSeconds) };
  if (kind === 'downwardAPI') {
    return Object.fromEntries(
      spec.items.map(({ path, fieldRef }: { path: string; fieldRef: { fieldPath: string } }) => [
        path,
        fieldOf(pod, fieldRef.fieldPath),
      ]),
    );
  }
  const plural = { configMap: 'configmaps', secret: 'secrets' }[kind];
  if (plural === undefined) throw new Error(`volumes of kind ${kind} are not played here`);
  const name = spec.name ?? spec.secretName;
  const { code, body } = await plane.api.send('GET', `/api/v1/namespaces/${namespace}/${plural}/${name}`);
  if (code !== 200) return spec.optional === true ? {} : { missing: `${kind} ${name}` };
  const encoding = kind === 'secret' ? 'base64' : 'utf8';
  const data: Readonly<Record<string, string>> = body.data ?? {};
  const items: readonly { readonly key: string; readonly path: string }[] =
    spec.items ?? Object.keys(data).map((key) => ({ key, path: key }));
  return Object.fromEntries(items.map(({ key, path }) => [path, Buffer.from(data[key] ?? '', encoding)]));
}

/** Tokens already given, by pod: a kubelet asks again only when most of one's time is over. */
const tokens = new Map<string, string>();

async function tokenFor(plane: ControlPlane, pod: PodObject, expirationSeconds: number): Promise<string> {
  const { namespace, name, uid } = pod.metadata;
  const known = tokens.get(uid);
  if (known !== undefined) return known;
  const account = pod.spec.serviceAccountName ?? 'default';
  const request = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { expirationSeconds, boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid } },
  };
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
  const { code, body } = await plane.api.send('POST', path, request);
  if (code !== 201) throw new Error(`no token for ${account}: ${JSON.stringify(body)}`);
  tokens.set(uid, body.status.token);
  return body.status.token;
}

/** A field that the downward API names. */
export function fieldOf(pod: PodObject, path: string): string {
  const value = path.split('.').reduce<unknown>((object, key) => Object(object)[key], pod);
  return String(value ?? '');
}
