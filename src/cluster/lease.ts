import { hostname } from 'node:os';
import { field, type JsonObject, readInteger, readObject, readString } from '../policy/model/read.ts';
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
  /** Whether this replica surely holds it: another waits as long, and from a renewal that it saw later than it was sent. */
  isHeld(): boolean;
  /**
   * Lets go of it, so that another need not wait until its time has run out; what another holds, or nobody, stays as it is. Written as
   * client-go's ReleaseOnCancel writes it. @throws ApiError
   */
  release(signal: AbortSignal): Promise<void>;
  /** Deletes it; nothing where it is gone. @throws ApiError */
  remove(signal: AbortSignal): Promise<void>;
}

/** What is read of a Lease. */
interface Seen {
  readonly object: JsonObject;
  readonly version: string;
  readonly createdAtMs: number;
  /** Empty where nobody holds it. */
  readonly holder: string;
  readonly acquireTime: unknown;
  readonly transitions: number;
}

export function createLease(options: LeaseOptions): Lease {
  const { client, namespace, name, identity, durationMs, now } = options;
  const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
  /** What was last seen of another holder, and when by our own clock: clocks of two machines are never compared. */
  let other: { readonly version: string; readonly atMs: number } | undefined;
  /** When our last renewal was sent. */
  let renewedAtMs: number | undefined;

  const specOf = (transitions: number): object => ({
    holderIdentity: identity,
    leaseDurationSeconds: durationMs / 1000,
    renewTime: microTime(now()),
    acquireTime: microTime(now()),
    leaseTransitions: transitions,
  });

  const read = async (signal: AbortSignal): Promise<Seen | undefined> => {
    try {
      return readLease(await client.get(`${path}/${name}`, {}, signal));
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  };

  /** @returns false where somebody else was quicker, or it was deleted meanwhile. */
  const write = async ({ object }: Seen, spec: object, signal: AbortSignal): Promise<boolean> => {
    try {
      await client.send('PUT', `${path}/${name}`, { ...object, spec }, signal);
      return true;
    } catch (error) {
      if (error instanceof ApiError && (error.status === 409 || error.status === 404)) return false;
      throw error;
    }
  };

  /** @returns whether the other has said nothing for so long that it may be taken from it. */
  const isSilent = (version: string): boolean => {
    if (other?.version !== version) other = { version, atMs: now() };
    return now() - other.atMs >= durationMs;
  };

  return {
    async tryHold(signal) {
      const seen = await read(signal);
      const mine = seen?.holder === identity;
      if (!mine) renewedAtMs = undefined;
      if (seen === undefined) return { state: 'absent' };
      const { createdAtMs, transitions, acquireTime } = seen;
      if (!mine && seen.holder !== '' && !isSilent(seen.version)) return { state: 'other', createdAtMs };
      const sentAtMs = now();
      const spec = mine ? { ...specOf(transitions), acquireTime } : specOf(transitions + 1);
      const written = await write(seen, spec, signal);
      renewedAtMs = written ? sentAtMs : undefined;
      if (!written) return { state: 'other', createdAtMs };
      other = undefined;
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
    isHeld: () => renewedAtMs !== undefined && now() - renewedAtMs < durationMs,
    async release(signal) {
      renewedAtMs = undefined;
      const seen = await read(signal);
      if (seen?.holder !== identity) return;
      const time = microTime(now());
      const spec = {
        leaseDurationSeconds: 1,
        renewTime: time,
        acquireTime: time,
        leaseTransitions: seen.transitions,
      };
      await write(seen, spec, signal);
    },
    async remove(signal) {
      renewedAtMs = undefined;
      try {
        await client.send('DELETE', `${path}/${name}`, {}, signal);
      } catch (error) {
        if (!(error instanceof ApiError && error.status === 404)) throw error;
      }
    },
  };
}

const releasePatienceMs = 2_000;

/** What a replica that ends does with a Lease that it surely holds. @param onFailure told why another must wait until it has run out. */
export async function releaseAtEnd(lease: Lease, onFailure: (error: string) => void): Promise<void> {
  if (!lease.isHeld()) return;
  try {
    await lease.release(AbortSignal.timeout(releasePatienceMs));
  } catch (error) {
    onFailure(String(error));
  }
}

function readLease(value: unknown): Seen {
  const object = readObject(value, 'Lease');
  const metadata = readObject(field(object, 'metadata'), 'Lease.metadata');
  const spec = readObject(field(object, 'spec'), 'Lease.spec');
  return {
    object,
    version: readString(field(metadata, 'resourceVersion'), 'Lease.metadata.resourceVersion') ?? '',
    createdAtMs: Date.parse(readString(field(metadata, 'creationTimestamp'), 'Lease.metadata') ?? ''),
    holder: readString(field(spec, 'holderIdentity'), 'Lease.spec.holderIdentity') ?? '',
    acquireTime: field(spec, 'acquireTime'),
    transitions: readInteger(field(spec, 'leaseTransitions'), 'Lease.spec.leaseTransitions') ?? 0,
  };
}

/** Names a replica among holders of a Lease: with hostNetwork two may share name and pid. */
export function newIdentity(random: () => number): string {
  return `${hostname()}_${process.pid}_${Math.floor(random() * 0xffffffff).toString(16)}`;
}

/** RFC 3339 with microseconds, as the API writes it. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
