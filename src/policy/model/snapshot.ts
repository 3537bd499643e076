import type { Node } from './node.ts';
import type { LivePod } from './placement.ts';

/**
 * What is known of the live nodes.
 * - `offline`: nobody gave any nodes (`review` without `--nodes`).
 * - `unsynced`: a watch that has not listed yet.
 * - `synced`: complete as of `resourceVersion`.
 * - `stale`: was complete, but the API server has not confirmed it for longer than the edge allows.
 */
export type SnapshotState = 'offline' | 'unsynced' | 'synced' | 'stale';

/** An immutable view of the live nodes. A new object is made for each change, so that views derived from it can be cached by identity. */
export interface NodeSnapshot {
  readonly state: SnapshotState;
  readonly nodes: ReadonlyMap<string, Node>;
  /** The list's or last event's resourceVersion; empty where the nodes come from a file. */
  readonly resourceVersion: string;
  /** When the source last confirmed the nodes, in milliseconds of the Unix epoch; undefined where no age applies (a file, offline). */
  readonly confirmedAtMs: number | undefined;
}

/** The answer to "does this node exist, now?". */
export type NodeLookup =
  | { readonly state: 'found'; readonly node: Node }
  /** Surely not there: the API server said so, or the node list is complete by definition. */
  | { readonly state: 'absent' }
  /** Nobody could tell in time. `why` is for people. */
  | { readonly state: 'unknown'; readonly why: string }
  /** No live nodes at hand at all (offline review). */
  | { readonly state: 'offline' };

/** True of a node that nobody knows: denying one that exists, or may exist, would cost its registration. Offline every node is a first one. */
export function isSurelyNew({ state }: NodeLookup): boolean {
  return state === 'absent' || state === 'offline';
}

/** The answer to "what does this pod bear, now?". */
export type PodLookup =
  | { readonly state: 'found'; readonly pod: LivePod }
  | { readonly state: 'absent' }
  | { readonly state: 'unknown'; readonly why: string }
  /** No cluster at hand to ask. */
  | { readonly state: 'offline' };

/** Where the edge gets single pods from. */
export interface PodSource {
  /** One live GET of a pod's metadata. Never rejects: a failure or an aborted signal is `unknown`. */
  lookUp(namespace: string, name: string, signal: AbortSignal): Promise<PodLookup>;
}

/** A source for offline reviews. */
export const offlinePods: PodSource = { lookUp: () => Promise.resolve({ state: 'offline' }) };

/** What rules were told of nodes by name, and of pods by `namespace/name`. */
export interface Lookups {
  readonly nodes: ReadonlyMap<string, NodeLookup>;
  readonly pods: ReadonlyMap<string, PodLookup>;
}

/** Key of a pod among the look-ups. */
export function podKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

export const noLookups: Lookups = { nodes: new Map(), pods: new Map() };

/** Where the edge gets nodes from. */
export interface NodeSource {
  snapshot(): NodeSnapshot;
  /**
   * Asks for one node that the snapshot lacks: one live GET where the source is a watch, no I/O where it is a file.
   * Never rejects: a failure or an aborted signal is `unknown`.
   */
  lookUp(name: string, signal: AbortSignal): Promise<NodeLookup>;
}

/** A source for offline reviews: no nodes, and it says so. */
export const offlineNodes: NodeSource = {
  snapshot: () => offlineSnapshot,
  lookUp: () => Promise.resolve({ state: 'offline' }),
};

const offlineSnapshot: NodeSnapshot = {
  state: 'offline',
  nodes: new Map(),
  resourceVersion: '',
  confirmedAtMs: undefined,
};
