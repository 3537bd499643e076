import { field, isObject, readObject, readString, ShapeError } from '../policy/model/read.ts';
import { type ApiClient, ApiError, type WatchEvent } from './api-client.ts';
import { backoffMs } from './backoff.ts';
import { type Listed, listAll } from './list-all.ts';
import { createWatchIndex, type WatchIndex } from './watch-index.ts';

/** The API server sends a bookmark about once a minute; a watch that is silent for half as long again is dead. */
export const defaultIdleTimeoutMs = 90_000;

/** One idle time-out, and time to come back. */
export const defaultStaleAfterMs = 150_000;

/** The API server ends a watch after this; a watch that never ends would keep a replica on one API server for ever. */
const watchSeconds = 300;

/** What a watch touches beside the API server, as arguments. */
export interface WatchWorld {
  readonly client: ApiClient;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  /** Milliseconds of the Unix epoch. */
  readonly now: () => number;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly staleAfterMs?: number;
  /** Waits that long, or until the signal aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** What is watched, and what is kept of it. */
export interface WatchedResource<T> {
  /** For the log: `nodes`. */
  readonly plural: string;
  /** One of them, with its article, for the log: `a node`. */
  readonly one: string;
  /** Paths of the list, the first that the API server serves is taken: several versions of a resource. */
  readonly paths: readonly string[];
  /** @throws ShapeError for an object that rules cannot read; it is left out. */
  readonly read: (value: unknown) => T;
  readonly same: (a: T, b: T) => boolean;
  /** Called when something that rules read has changed; `before` is undefined for what was not there. Not called for the first list. */
  readonly onChange?: ((value: T, before: T | undefined, resourceVersion: string) => void) | undefined;
  /** How long to leave an API server alone that serves none of the paths (HTTP 404); left out: that is a failure like any other. */
  readonly absentMs?: number;
}

/**
 * - `unsynced`: not listed yet.
 * - `absent`: the API server does not serve it.
 * - `synced`: complete as of `resourceVersion`.
 * - `stale`: was complete, but the API server has not confirmed it for longer than allowed.
 */
export type WatchState = 'unsynced' | 'absent' | 'synced' | 'stale';

export interface WatchStatus {
  readonly state: WatchState;
  readonly size: number;
  readonly lists: number;
  readonly watches: number;
  /** The last failure; empty while all is well. */
  readonly error: string;
}

export interface ResourceWatch<T> {
  /** By name, or by namespace/name. */
  readonly index: Pick<WatchIndex<T>, 'all' | 'get'>;
  state(): WatchState;
  status(): WatchStatus;
  /** The list's or last event's. */
  resourceVersion(): string;
  /** When the API server last confirmed what is known, in milliseconds of the Unix epoch. */
  confirmedAtMs(): number | undefined;
  /** Resolves at the first complete list. */
  readonly synced: Promise<void>;
  stop(): Promise<void>;
}

/**
 * Keeps one resource: lists it, then watches from there. A watch that ends is resumed from the last resourceVersion it saw; one that is
 * too old (410) means a new list; every other failure is survived, with backoff. What is known stays known meanwhile, and its age shows.
 */
export function startResourceWatch<T>(resource: WatchedResource<T>, world: WatchWorld): ResourceWatch<T> {
  const { client, log, now, random, sleep, staleAfterMs = defaultStaleAfterMs } = world;
  const { plural, one, paths, absentMs } = resource;
  let isFirstList = true;
  const index = createWatchIndex<T>({
    same: resource.same,
    onChange: (value, before) => {
      if (!isFirstList) resource.onChange?.(value, before, resourceVersion);
    },
  });
  const ending = new AbortController();
  let path = '';
  let isAbsent = false;
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
  const read = (value: unknown): T | undefined => {
    try {
      return resource.read(value);
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error;
      // Out of the index it goes: whoever asks for it then hears that it is unknown.
      log('error', `${one} that cannot be read is left out of the index`, { error: error.message });
      return undefined;
    }
  };
  const onEvent = ({ type, object }: WatchEvent): void => {
    if (type === 'ERROR') throw errorEvent(object);
    const metadata = readObject(field(readObject(object, 'object'), 'metadata'), 'object.metadata');
    const version = readString(field(metadata, 'resourceVersion'), 'object.metadata.resourceVersion');
    const key = keyOf(object);
    if (version !== undefined) resourceVersion = version;
    if (type === 'DELETED') index.remove(key);
    else if (type === 'ADDED' || type === 'MODIFIED') {
      const value = read(object);
      if (value === undefined) index.remove(key);
      else index.put(key, value);
    } else if (type !== 'BOOKMARK') throw new ApiError(0, `an event of type ${type.slice(0, 32)} is not known`);
    confirm();
  };

  /** Lists the first path that is served. @throws ApiError with status 404 where none is. */
  const listServed = async (): Promise<Listed> => {
    for (const candidate of paths) {
      try {
        const listed = await listAll(client, candidate, {}, ending.signal);
        path = candidate;
        return listed;
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 404) throw error;
      }
    }
    throw new ApiError(404, `the API server serves no ${plural}`);
  };
  const list = async (): Promise<void> => {
    lists += 1;
    const listed = await listServed();
    const values = new Map<string, T>();
    for (const item of listed.items) {
      const value = read(item);
      if (value !== undefined) values.set(keyOf(item), value);
    }
    resourceVersion = listed.resourceVersion;
    index.replace(values);
    isFirstList = false;
    isAbsent = false;
    confirm();
    log('info', `${plural} listed`, { [plural]: values.size, resourceVersion });
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
      await client.watch(path, query, callbacks, signal);
    } catch (error) {
      throw failure ?? error;
    }
    if (failure !== undefined) throw failure;
  };

  /** @returns how long to leave the API server alone. */
  const onAbsent = (waitMs: number): number => {
    if (!isAbsent) log('info', `the API server serves no ${plural}: off`, { againSeconds: waitMs / 1000 });
    isAbsent = true;
    index.replace(new Map());
    confirm();
    return waitMs;
  };
  /** @returns how long to wait before the next attempt. */
  const onFailure = (error: unknown, status: number): number => {
    failures += 1;
    lastError = error instanceof Error ? error.message : String(error);
    const waitMs = Math.max(backoffMs(failures, random()), error instanceof ApiError ? error.retryAfterMs : 0);
    log('warn', status === 410 ? 'the watch is too old: listing again' : `${plural} cannot be watched; trying again`, {
      error: lastError,
      waitSeconds: Math.round(waitMs / 100) / 10,
    });
    return waitMs;
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
        // Only a list that finds none of the paths says absent: a watch may meet an API server of another version.
        const isAbsentNow = status === 404 && !listed && absentMs !== undefined;
        if (status === 410 || status === 404) listed = false;
        const waitMs = isAbsentNow ? onAbsent(absentMs) : onFailure(error, status);
        await sleep(waitMs, ending.signal);
      }
    }
  };
  const running = loop();

  const state = (): WatchState => {
    if (isAbsent) return 'absent';
    if (confirmedAtMs === undefined || lists === 0) return 'unsynced';
    return now() - confirmedAtMs > staleAfterMs ? 'stale' : 'synced';
  };
  return {
    index,
    state,
    status: () => ({ state: state(), size: index.all().size, lists, watches, error: lastError }),
    resourceVersion: () => resourceVersion,
    confirmedAtMs: () => confirmedAtMs,
    synced,
    async stop() {
      ending.abort();
      await running;
    },
  };
}

/** What an object is known by: its name, with its namespace where it has one. */
function keyOf(value: unknown): string {
  const metadata = readObject(field(readObject(value, 'object'), 'metadata'), 'object.metadata');
  const name = readString(field(metadata, 'name'), 'object.metadata.name') ?? '';
  const namespace = readString(field(metadata, 'namespace'), 'object.metadata.namespace') ?? '';
  return namespace === '' ? name : `${namespace}/${name}`;
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
