/** A claim that a pod refers to: an entry of `spec.resourceClaims`. Both kinds are looked for in the pod's own namespace. */
export interface ClaimReference {
  readonly kind: 'ResourceClaim' | 'ResourceClaimTemplate';
  readonly name: string;
}

/** What is known of the device classes that a claim asks for. */
export type ClaimClasses =
  | { readonly state: 'found'; readonly classes: readonly string[] }
  /** Nobody could tell: not there yet, or not listed. `why` is for people. */
  | { readonly state: 'unknown'; readonly why: string }
  /** The API server serves no claims, so no pod can have one. */
  | { readonly state: 'off' };

/** The device classes of a claim, as known at that moment: an answer from memory, never a call. */
export type ClassesOf = (namespace: string, claim: ClaimReference) => ClaimClasses;

/** A claim as rules need it: the device classes that it asks for, first choice or not. A template's are those of the claims made from it. */
export interface Claim extends ClaimReference {
  readonly namespace: string;
  readonly classes: readonly string[];
}

/** Answers from claims that never change. @param why what to say of any other. */
export function fixedClaims(claims: readonly Claim[], why: string): ClassesOf {
  const byKey = new Map(claims.map((claim) => [keyOf(claim.namespace, claim), claim.classes]));
  const unknown: ClaimClasses = { state: 'unknown', why };
  return (namespace, reference) => {
    const classes = byKey.get(keyOf(namespace, reference));
    return classes === undefined ? unknown : { state: 'found', classes };
  };
}

function keyOf(namespace: string, { kind, name }: ClaimReference): string {
  return `${kind}/${namespace}/${name}`;
}
