import type { Claim } from '../policy/model/claims.ts';
import { field, isObject, ShapeError } from '../policy/model/read.ts';
import { claimKindOf, readClaim } from '../policy/model/read-claim.ts';
import type { Failed } from './judge.ts';
import type { ManifestObject } from './manifests.ts';

/** The resource claims among the objects of a review. */
export interface InputClaims {
  readonly claims: readonly Claim[];
  /** Those that cannot be read. */
  readonly failed: ReadonlyMap<ManifestObject, Failed>;
}

/** Reads the claims that pods of the same input may refer to. @param namespace of objects that name none. */
export function readInputClaims(objects: readonly ManifestObject[], namespace: string): InputClaims {
  const claims: Claim[] = [];
  const failed = new Map<ManifestObject, Failed>();
  for (const object of objects) {
    const { value, source } = object;
    if (!isObject(value)) continue;
    const kind = claimKindOf(String(field(value, 'apiVersion')), String(field(value, 'kind')));
    if (kind === undefined) continue;
    try {
      claims.push(readClaim(kind, value, namespace));
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error;
      failed.set(object, { outcome: 'failed', source, message: error.message });
    }
  }
  return { claims, failed };
}
