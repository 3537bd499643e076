import type { Glob } from '../kube/glob.ts';
import type { Labels } from '../kube/labels.ts';
import type { TaintPattern, Toleration } from '../kube/taint.ts';
import type { ClassesOf } from './claims.ts';
import type { Enforcement } from './finding.ts';
import type { Workload } from './placement.ts';

/**
 * The policy file after validation and merging with the defaults: what `policy.yaml` says, in its own words.
 * Rules' own settings stand under `rules`, keyed by rule id; each rule owns the type of its entry.
 */
export interface Policy {
  readonly preset: 'enforce' | 'monitor';
  readonly workflowPods: { readonly namespaces: readonly string[]; readonly labels: readonly string[] };
  readonly nodes: NodesPolicy;
  readonly profiles: readonly Profile[];
  readonly rules: Readonly<Record<string, unknown>>;
  readonly exemptions: readonly Exemption[];
}

/** What a node is for. `shared` serves both operator and workflow pods. */
export type NodeType = 'operator' | 'compute' | 'gpu' | 'jetson' | 'shared';

export interface NodesPolicy {
  /** The label that tells a node's type, e.g. `node-type`. */
  readonly typeLabel: string;
  /** Label value to node type. A value that is not listed is untyped. */
  readonly types: Readonly<Record<string, NodeType>>;
  readonly operatorTaints: readonly TaintEntry[];
  readonly controlPlane: { readonly labels: readonly string[]; readonly taints: readonly string[] };
}

/** Taints as the policy file lists them. */
export interface TaintEntry {
  readonly key: string;
  /** Absent: any value. */
  readonly value?: string;
  /** Absent: NoSchedule and NoExecute. */
  readonly effects?: readonly string[];
}

export interface Profile {
  readonly name: string;
  readonly match: ProfileMatch;
  /** The type of node that the profile's pods are sent to; absent: the exclusion alone. */
  readonly nodeType?: NodeType;
  readonly tolerations: readonly Toleration[];
  readonly whenNoNodeMatches?: WhenNoNodeMatches;
}

export type WhenNoNodeMatches = 'auto' | 'inject' | 'skip' | 'deny';

/** Any of these matches. An empty object matches every pod. */
export interface ProfileMatch {
  /** Globs over the label `osmo.platform`. */
  readonly platforms?: readonly string[];
  /** A nodeSelector or required affinity that means one of these types. */
  readonly nodeTypes?: readonly NodeType[];
  readonly podLabels?: Readonly<Record<string, string>>;
  /** Globs over resource names requested or limited above zero. */
  readonly resources?: readonly string[];
  /** Keys of annotations. */
  readonly podAnnotations?: readonly string[];
  /** Names of device classes that a resource claim of the pod asks for. */
  readonly deviceClasses?: readonly string[];
}

export interface Exemption {
  readonly reason: string;
  readonly rules?: readonly string[];
  readonly namespaces?: readonly string[];
  readonly podSelector?: Labels;
  readonly users?: readonly string[];
  readonly groups?: readonly string[];
  /** `namespace/name`. */
  readonly serviceAccounts?: readonly string[];
  /** Names of nodes, for the rules that judge nodes. */
  readonly nodes?: readonly string[];
  /** `YYYY-MM-DD`: holds to the end of that day, UTC. */
  readonly until?: string;
}

/** A validated policy with what is derived from it once, so that no request derives it again. */
export interface CompiledPolicy {
  readonly policy: Policy;
  /** Hex SHA-256 of the effective policy; names the policy in records and metrics. */
  readonly digest: string;
  /** User name of the webhook's own service account; undefined outside a cluster. */
  readonly ownUser: string | undefined;
  readonly workflowNamespaces: ReadonlySet<string>;
  readonly workflowLabels: readonly string[];
  /** Label values that mean operator, sorted: the exclusion's values. */
  readonly operatorValues: readonly string[];
  readonly sharedValues: readonly string[];
  readonly operatorTaints: readonly TaintPattern[];
  readonly exemptions: readonly CompiledExemption[];
  readonly profiles: readonly CompiledProfile[];
  /** The enforcement of a rule's reason, the preset's ceiling applied. */
  readonly enforcementOf: (rule: string, reason: string) => Enforcement;
  /** Each rule's own compiled settings, keyed by rule id. */
  readonly settings: ReadonlyMap<string, unknown>;
}

export interface CompiledExemption {
  readonly exemption: Exemption;
  /** Exclusive end in milliseconds of the Unix epoch; undefined without `until`. */
  readonly endsAtMs: number | undefined;
}

export interface CompiledProfile {
  readonly profile: Profile;
  readonly matches: (pod: Workload, classesOf: ClassesOf) => boolean;
  /** Globs of `match.resources` and of the resources that stand for its device classes, to tell whether a live node offers one. */
  readonly resources: readonly Glob[];
  /** Label values that mean the profile's node type, sorted. */
  readonly values: readonly string[];
}
