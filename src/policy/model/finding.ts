/** What a rule says of an object. A rule never says "deny": `decide` applies the policy's enforcement to findings. */

/** How a finding is answered. `quarantine` is a level of node-conformance's reasons only. */
export type Enforcement = 'enforce' | 'quarantine' | 'warn' | 'audit' | 'off';

/** A limit that a rule or the preset puts on the enforcement of a finding. */
export type Ceiling = 'warn' | 'audit';

export interface Finding {
  /** The rule's id, e.g. `operator-node-guard`. */
  readonly rule: string;
  /** Short and stable, part of the API: `tolerates`, `driver`. One of the rule's `reasons`. */
  readonly reason: string;
  /** Path of the field at fault, e.g. `spec.tolerations[2]`. */
  readonly field: string;
  /** What is wrong, where, and what to change. One line; ends without the id, which the answer appends. */
  readonly message: string;
  /** The short form for a warning: what, has, needs. One line, without the id. */
  readonly short: string;
  /** The finding is never answered above this, whatever the policy says. */
  readonly atMost?: Ceiling;
  /** Set where the rule could not tell (a failed look-up): under `enforce` the request fails with HTTP 500, so that failurePolicy decides. */
  readonly undecided?: true;
}

/** A finding with the enforcement that the policy, the preset and the ceilings leave it. `off` findings are dropped. */
export interface DecidedFinding extends Finding {
  readonly enforcement: Exclude<Enforcement, 'off'>;
}
