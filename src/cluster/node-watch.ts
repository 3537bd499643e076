import { isDns1123Subdomain } from '../policy/kube/names.ts';
import type { Node } from '../policy/model/node.ts';
import { field, isObject, readObject, readString, ShapeError } from '../policy/model/read.ts';
import { readNode } from '../policy/model/read-node.ts';
import type { NodeLookup, NodeSource, SnapshotState } from '../policy/model/snapshot.ts';
import { type ApiClient, ApiError, type WatchEvent } from './api-client.ts';
import { backoffMs } from './backoff.ts';
import { listAll } from './list-all.ts';
import { createNodeIndex } from './node-index.ts';
import { lookUpError } from './pod-source.ts';

/** The API server sends a bookmark about once a minute; a watch that is silent for half as long again is dead. */
export const defaultIdleTimeoutMs = 90_000;

/** One idle time-out, and time to come back. */
export const defaultStaleAfterMs = 150_000;

/** The API server ends a watch after this; a watch that never ends would keep a replica on one API server for ever. */
const watchSeconds = 300;

export interface NodeWatchOptions {
  readonly client: ApiClient;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  /** Milliseconds of the Unix epoch. */
  readonly now: () => number;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly staleAfterMs?: number;
  /**
   * Called when something that rules read has changed on a node; `before` is undefined for one that was not there. Not called for the
   * nodes of the first list.
   */
  readonly onChange?: (node: Node, before: Node | undefined, resourceVersion: string) => void;
  /** Waits that long, or until the signal aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

export interface NodeWatchStatus {
  readonly state: SnapshotState;
  readonly nodes: number;
  readonly lists: number;
  readonly watches: number;
  /** The last failure; empty while all is well. */
  readonly error: string;
}

export interface NodeWatch extends NodeSource {
  status(): NodeWatchStatus;
  /** Resolves at the first complete list. */
  readonly synced: Promise<void>;
  stop(): Promise<void>;
}

/**
 * Keeps the live nodes: lists them, then watches from there. A watch that ends is resumed from the last resourceVersion it saw; one that is
 * too old (410) means a new list; every other failure is survived, with backoff. What is known stays known meanwhile, and its age shows.
 */
export function startNodeWatch(options: NodeWatchOptions): NodeWatch {
  const { client, log, now, random, sleep, staleAfterMs = defaultStaleAfterMs } = options;
  let isFirstList = true;
  const index = createNodeIndex((node, before) => {
    if (!isFirstList) options.onChange?.(node, before, resourceVersion);
  });
  const ending = new AbortController();
  let resourceVersion = '';
  let confirmedAtMs: number | undefined;
  let lists = 0;
  let watches = 0;
  let failures = 0;
  let lastError = '';
  let markSynced: () => void = () => undefined;
  const synced = new Promise<void>((resolve) => {
    markSynced = resolve;
  });

  const confirm = (): void => {
    confirmedAtMs = now();
    failures = 0;
    lastError = '';
  };
  const read = (value: unknown): Node | undefined => {
    try {
      return readNode(value, 'Node');
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error;
      // Out of the index it goes: a look-up then asks the API server, and says that it is unknown.
      log('error', 'a node that cannot be read is left out of the index', { error: error.message });
      return undefined;
    }
  };
  const onEvent = ({ type, object }: WatchEvent): void => {
    if (type === 'ERROR') throw errorEvent(object);
    const metadata = readObject(field(readObject(object, 'object'), 'metadata'), 'object.metadata');
    const version = readString(field(metadata, 'resourceVersion'), 'object.metadata.resourceVersion');
    const name = readString(field(metadata, 'name'), 'object.metadata.name') ?? '';
    if (version !== undefined) resourceVersion = version;
    if (type === 'DELETED') index.remove(name);
    else if (type === 'ADDED' || type === 'MODIFIED') {
      const node = read(object);
      if (node === undefined) index.remove(name);
      else index.put(node);
    } else if (type !== 'BOOKMARK') throw new ApiError(0, `an event of type ${type.slice(0, 32)} is not known`);
    confirm();
  };

  const list = async (): Promise<void> => {
    lists += 1;
    const listed = await listAll(client, '/api/v1/nodes', {}, ending.signal);
    const nodes = listed.items.flatMap((item) => read(item) ?? []);
    resourceVersion = listed.resourceVersion;
    index.replace(nodes);
    isFirstList = false;
    confirm();
    log('info', 'nodes listed', { nodes: nodes.length, resourceVersion });
    markSynced();
  };

  const watchOnce = async (): Promise<void> => {
    watches += 1;
    const stop = new AbortController();
    const signal = AbortSignal.any([ending.signal, stop.signal]);
    let failure: unknown;
    const query = { allowWatchBookmarks: 'true', resourceVersion, timeoutSeconds: String(watchSeconds) };
    const callbacks = {
      onOpen: confirm,
      onEvent: (event: WatchEvent) => {
        if (failure !== undefined) return;
        try {
          onEvent(event);
        } catch (error) {
          // The client swallows what a callback throws.
          failure = error;
          stop.abort();
        }
      },
    };
    try {
      await client.watch('/api/v1/nodes', query, callbacks, signal);
    } catch (error) {
      throw failure ?? error;
    }
    if (failure !== undefined) throw failure;
  };

  const loop = async (): Promise<void> => {
    let listed = false;
    while (!ending.signal.aborted) {
      const startedMs = now();
      try {
        if (!listed) await list();
        listed = true;
        await watchOnce();
        // A server that ends each watch at once would otherwise be asked without a pause.
        if (now() - startedMs < 1_000) await sleep(backoffMs(1, random()), ending.signal);
      } catch (error) {
        if (ending.signal.aborted) return;
        const status = error instanceof ApiError ? error.status : 0;
        if (status === 410) listed = false;
        failures += 1;
        lastError = error instanceof Error ? error.message : String(error);
        const waitMs = Math.max(backoffMs(failures, random()), error instanceof ApiError ? error.retryAfterMs : 0);
        log('warn', status === 410 ? 'the watch is too old: listing again' : 'nodes cannot be watched; trying again', {
          error: lastError,
          waitSeconds: Math.round(waitMs / 100) / 10,
        });
        await sleep(waitMs, ending.signal);
      }
    }
  };
  const running = loop();

  const stateOf = (): SnapshotState => {
    if (confirmedAtMs === undefined || lists === 0) return 'unsynced';
    return now() - confirmedAtMs > staleAfterMs ? 'stale' : 'synced';
  };
  return {
    synced,
    snapshot: () => ({ state: stateOf(), nodes: index.nodes(), resourceVersion, confirmedAtMs }),
    status: () => ({ state: stateOf(), nodes: index.nodes().size, lists, watches, error: lastError }),
    lookUp: (name, signal) => lookUp(client, name, signal),
    async stop() {
      ending.abort();
      await running;
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

/** An ERROR event holds a Status. */
function errorEvent(status: unknown): ApiError {
  const code = isObject(status) ? field(status, 'code') : undefined;
  const message = isObject(status) ? field(status, 'message') : undefined;
  return new ApiError(
    typeof code === 'number' ? code : 0,
    `watch error event: ${typeof message === 'string' ? message.slice(0, 256) : 'no message'}`,
  );
}
