import type { ClaimClasses, ClaimReference, ClassesOf } from '../policy/model/claims.ts';
import { claimGroup, readClaim } from '../policy/model/read-claim.ts';
import { type ResourceWatch, startResourceWatch, type WatchState, type WatchWorld } from './resource-watch.ts';

/** Versions that can be read, the newest first: v1 since Kubernetes 1.34, the others behind a switch since 1.32. */
const versions = ['v1', 'v1beta2', 'v1beta1'];

/** A cluster that serves no claims may be upgraded while this runs. */
const absentMs = 10 * 60_000;

export interface ClaimWatchOptions extends WatchWorld {
  /** Whether the policy in force asks for device classes. */
  readonly wanted: () => boolean;
}

export interface ClaimWatchStatus {
  /** The worse of the two. */
  readonly state: WatchState;
  readonly templates: number;
  readonly claims: number;
  readonly error: string;
}

export interface ClaimWatch {
  readonly classesOf: ClassesOf;
  /** Undefined while the policy asks for no device class, so that nothing is watched. */
  status(): ClaimWatchStatus | undefined;
  /** Starts or stops watching, as the policy in force asks. */
  follow(): void;
  stop(): Promise<void>;
}

type Found = Extract<ClaimClasses, { state: 'found' }>;
type Watches = Readonly<Record<ClaimReference['kind'], ResourceWatch<Found>>>;

/**
 * Keeps the device classes of every ResourceClaim and ResourceClaimTemplate, by namespace and name, and nothing else of them. Only while the policy asks
 * for device classes: a cluster that wants neither the memory nor the right to list claims takes them out of its policy file.
 */
export function startClaimWatch({ wanted, ...world }: ClaimWatchOptions): ClaimWatch {
  let watches: Watches | undefined;
  let stopping: Promise<unknown> = Promise.resolve();
  const stop = (): Promise<unknown> => {
    const ended = Object.values(watches ?? {}).map((watch) => watch.stop());
    watches = undefined;
    stopping = Promise.all([stopping, ...ended]);
    return stopping;
  };
  const follow = (): void => {
    if (!wanted()) stop();
    else
      watches ??= {
        ResourceClaimTemplate: watchOne('ResourceClaimTemplate', 'resourceclaimtemplates', world),
        ResourceClaim: watchOne('ResourceClaim', 'resourceclaims', world),
      };
  };
  follow();
  return {
    follow,
    classesOf: (namespace, { kind, name }) => {
      const watch = watches?.[kind];
      return watch?.index.get(`${namespace}/${name}`) ?? missing(watch);
    },
    status: () => (watches === undefined ? undefined : statusOf(watches)),
    async stop() {
      await stop();
    },
  };
}

function watchOne(kind: ClaimReference['kind'], plural: string, world: WatchWorld): ResourceWatch<Found> {
  return startResourceWatch<Found>(
    {
      plural,
      one: `a ${kind}`,
      paths: versions.map((version) => `/apis/${claimGroup}/${version}/${plural}`),
      read: (value) => ({ state: 'found', classes: readClaim(kind, value).classes }),
      // Sorted by the reader.
      same: (a, b) => a.classes.join() === b.classes.join(),
      absentMs,
    },
    world,
  );
}

/** What to say of a claim that the index lacks. */
function missing(watch: ResourceWatch<Found> | undefined): ClaimClasses {
  if (watch === undefined) return { state: 'unknown', why: 'claims are not watched' };
  const { state, error } = watch.status();
  if (state === 'absent') return { state: 'off' };
  if (state === 'unsynced') return { state: 'unknown', why: error === '' ? 'claims are not listed yet' : error };
  return { state: 'unknown', why: 'there is none of that name, or it cannot be read' };
}

/** From good to bad. */
const order: readonly WatchState[] = ['synced', 'stale', 'absent', 'unsynced'];

function statusOf({ ResourceClaimTemplate: templates, ResourceClaim: claims }: Watches): ClaimWatchStatus {
  const [a, b] = [templates.status(), claims.status()];
  return {
    state: order.indexOf(a.state) > order.indexOf(b.state) ? a.state : b.state,
    templates: a.size,
    claims: b.size,
    error: a.error === '' ? b.error : a.error,
  };
}
