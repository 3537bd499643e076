import { isDns1123Subdomain } from '../policy/kube/names.ts';
import type { Node } from '../policy/model/node.ts';
import { readNode, sameNode } from '../policy/model/read-node.ts';
import type { NodeLookup, NodeSource } from '../policy/model/snapshot.ts';
import { type ApiClient, ApiError } from './api-client.ts';
import { lookUpError } from './pod-source.ts';
import { startResourceWatch, type WatchStatus, type WatchWorld } from './resource-watch.ts';

export interface NodeWatchOptions extends WatchWorld {
  /**
   * Called when something that rules read has changed on a node; `before` is undefined for one that was not there. Not called for the
   * nodes of the first list.
   */
  readonly onChange?: (node: Node, before: Node | undefined, resourceVersion: string) => void;
}

export interface NodeWatch extends NodeSource {
  status(): WatchStatus;
  /** Resolves at the first complete list. */
  readonly synced: Promise<void>;
  /** Also closes the client. */
  stop(): Promise<void>;
}

/** Keeps the live nodes. */
export function startNodeWatch({ onChange, ...world }: NodeWatchOptions): NodeWatch {
  const { client } = world;
  const watch = startResourceWatch<Node>(
    {
      plural: 'nodes',
      one: 'a node',
      paths: ['/api/v1/nodes'],
      read: (value) => readNode(value, 'Node'),
      same: sameNode,
      onChange,
    },
    world,
  );
  const state = (): 'unsynced' | 'synced' | 'stale' => {
    const current = watch.state();
    // Every API server serves nodes: a 404 is a failure.
    return current === 'absent' ? 'unsynced' : current;
  };
  return {
    synced: watch.synced,
    snapshot: () => ({
      state: state(),
      nodes: watch.index.all(),
      resourceVersion: watch.resourceVersion(),
      confirmedAtMs: watch.confirmedAtMs(),
    }),
    status: watch.status,
    lookUp: (name, signal) => lookUp(client, name, signal),
    async stop() {
      await watch.stop();
      await client.close();
    },
  };
}

/** One live GET. Only a 404 says that a node is not there: everything else is unknown. */
async function lookUp(client: ApiClient, name: string, signal: AbortSignal): Promise<NodeLookup> {
  // No node can have such a name, and `..` in a path would ask for something else.
  if (!isDns1123Subdomain(name)) return { state: 'absent' };
  try {
    const value = await client.get(`/api/v1/nodes/${encodeURIComponent(name)}`, {}, signal);
    return { state: 'found', node: readNode(value, 'Node') };
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return { state: 'absent' };
    return { state: 'unknown', why: lookUpError(error, signal) };
  }
}
