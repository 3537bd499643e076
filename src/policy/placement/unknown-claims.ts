import type { ClaimReference, ClassesOf } from '../model/claims.ts';
import type { Workload } from '../model/placement.ts';
import type { CompiledPolicy, CompiledProfile } from '../model/policy.ts';

/** Claims of a pod that nobody knows, where knowing them could have meant another profile. */
export interface UnknownClaims {
  readonly first: ClaimReference;
  readonly count: number;
  /** Why the first is unknown. */
  readonly why: string;
  /** The profile that the pod may have missed. */
  readonly missed: CompiledProfile;
}

/**
 * An unknown claim matches no profile; this says so where it matters. Undefined where the pod's profile comes before every one that matches on device
 * classes: the first match wins, whatever the claim asks for.
 */
export function unknownClaims(
  pod: Workload,
  chosen: CompiledProfile,
  { profiles }: CompiledPolicy,
  classesOf: ClassesOf,
): UnknownClaims | undefined {
  if (pod.demands.claims.length === 0) return undefined;
  const missed = profiles
    .slice(0, profiles.indexOf(chosen))
    .find(({ profile }) => (profile.match.deviceClasses ?? []).length > 0);
  if (missed === undefined) return undefined;
  const unknown = pod.demands.claims.flatMap((claim) => {
    const known = classesOf(pod.namespace, claim);
    return known.state === 'unknown' ? [{ claim, why: known.why }] : [];
  });
  const [first] = unknown;
  return first === undefined ? undefined : { first: first.claim, count: unknown.length, why: first.why, missed };
}
