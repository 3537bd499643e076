import { field, isObject, readInteger, readObject, readString } from '../policy/model/read.ts';
import { type ApiClient, ApiError } from './api-client.ts';

/*
 * A Lease (kubernetes.io/docs/concepts/architecture/leases): one replica at a time holds it. Its creation also says since when what it stands
 * for has been on.
 */

export interface LeaseOptions {
  readonly client: ApiClient;
  readonly namespace: string;
  readonly name: string;
  /** This replica. */
  readonly identity: string;
  /** How long a holder that says nothing keeps it, in milliseconds; a whole number of seconds. */
  readonly durationMs: number;
  /** Milliseconds of the Unix epoch. */
  readonly now: () => number;
}

export type LeaseState =
  | { readonly state: 'absent' }
  | { readonly state: 'other'; readonly createdAtMs: number }
  | { readonly state: 'held'; readonly createdAtMs: number };

export interface Lease {
  /** Looks, and takes or renews it if it is there and free or ours. @throws ApiError */
  tryHold(signal: AbortSignal): Promise<LeaseState>;
  /** Makes it, held by this replica; another that was quicker holds it then. @throws ApiError */
  create(signal: AbortSignal): Promise<LeaseState>;
  /** Deletes it; nothing where it is gone. @throws ApiError */
  remove(signal: AbortSignal): Promise<void>;
}

export function createLease(options: LeaseOptions): Lease {
  const { client, namespace, name, identity, durationMs, now } = options;
  const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
  /** What was last seen of another holder, and when by our own clock: clocks of two machines are never compared. */
  let seen: { readonly version: string; readonly atMs: number } | undefined;

  const specOf = (transitions: number): object => ({
    holderIdentity: identity,
    leaseDurationSeconds: durationMs / 1000,
    renewTime: microTime(now()),
    acquireTime: microTime(now()),
    leaseTransitions: transitions,
  });

  return {
    async tryHold(signal) {
      let object: Readonly<Record<string, unknown>>;
      try {
        object = readObject(await client.get(`${path}/${name}`, {}, signal), 'Lease');
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return { state: 'absent' };
        throw error;
      }
      const metadata = readObject(field(object, 'metadata'), 'Lease.metadata');
      const spec = readObject(field(object, 'spec'), 'Lease.spec');
      const createdAtMs = Date.parse(readString(field(metadata, 'creationTimestamp'), 'Lease.metadata') ?? '');
      const version = readString(field(metadata, 'resourceVersion'), 'Lease.metadata.resourceVersion') ?? '';
      const holder = readString(field(spec, 'holderIdentity'), 'Lease.spec.holderIdentity') ?? '';
      const mine = holder === identity;
      if (!mine && holder !== '') {
        if (seen?.version !== version) seen = { version, atMs: now() };
        if (now() - seen.atMs < durationMs) return { state: 'other', createdAtMs };
      }
      const transitions = readInteger(field(spec, 'leaseTransitions'), 'Lease.spec.leaseTransitions') ?? 0;
      const fresh = specOf(mine ? transitions : transitions + 1);
      const acquired = isObject(spec) && mine ? { acquireTime: field(spec, 'acquireTime') } : {};
      try {
        await client.send('PUT', `${path}/${name}`, { ...object, spec: { ...fresh, ...acquired } }, signal);
      } catch (error) {
        // Somebody else was quicker, or it was deleted meanwhile.
        if (error instanceof ApiError && (error.status === 409 || error.status === 404))
          return { state: 'other', createdAtMs };
        throw error;
      }
      seen = undefined;
      return { state: 'held', createdAtMs };
    },
    async create(signal) {
      const body = {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name, namespace },
        spec: specOf(0),
      };
      try {
        await client.send('POST', path, body, signal);
      } catch (error) {
        if (!(error instanceof ApiError && error.status === 409)) throw error;
      }
      return this.tryHold(signal);
    },
    async remove(signal) {
      try {
        await client.send('DELETE', `${path}/${name}`, {}, signal);
      } catch (error) {
        if (!(error instanceof ApiError && error.status === 404)) throw error;
      }
    },
  };
}

/** RFC 3339 with microseconds, as the API writes it. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
