import type { Edit } from './model/edit.ts';
import type { Enforcement, Finding } from './model/finding.ts';
import type { NoteKeeper } from './model/notes.ts';
import type { CompiledPolicy, Policy } from './model/policy.ts';
import type { AdmissionRequest, Operation, Phase, Subject } from './model/request.ts';
import type { Lookups } from './model/snapshot.ts';
import type { ClusterView } from './model/view.ts';

/** A JSON Schema, as data. The policy file's schema is assembled from the rules' own. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Requests that a rule reads. */
export interface RequestMatch {
  readonly group: string;
  /** Plural, with its subresource as Kubernetes writes it: `nodes`, `nodes/status`. */
  readonly resource: string;
  readonly operations: readonly Operation[];
  /** The phases in which it does; left out: those of the rule. */
  readonly phases?: readonly Phase[];
  /** Which changes an UPDATE must make to be sent at all; left out: any. */
  readonly changes?: readonly Change[];
}

/**
 * What of an object an UPDATE may change that a rule reads: of a node its labels, taints (not those of its lifecycle, `node.kubernetes.io/…`)
 * and the annotation of quarantine; of a pod what decides where it may land, or its tolerations alone, whether it bears the workflow labels, and the
 * annotation of its exemption; of a workload its template.
 */
export type Change =
  | 'labels'
  | 'taints'
  | 'verified'
  | 'placement'
  | 'tolerations'
  | 'workflow-labels'
  | 'exempted'
  | 'template';

/** What a reason means and how to meet it: the source of docs/messages.md. */
export interface ReasonText {
  readonly summary: string;
  /** Rows of the guide that ask for it, if the rule goes back to the guide. */
  readonly guide?: string;
  readonly fix: string;
}

/** What is known before anything has been looked up, and once it has. */
export interface NeedsInput {
  readonly phase: Phase;
  readonly request: AdmissionRequest;
  readonly subject: Subject;
  readonly policy: CompiledPolicy;
  /** Answers so far. */
  readonly lookups: Lookups;
}

export interface RuleInput extends NeedsInput {
  readonly view: ClusterView;
  readonly notes: NoteKeeper;
  /** Milliseconds of the Unix epoch. */
  readonly nowMs: number;
}

/** Something that a rule must know of the cluster before it can judge. */
export type Need =
  | { readonly kind: 'node'; readonly name: string }
  | { readonly kind: 'pod'; readonly namespace: string; readonly name: string };

export interface RuleResult {
  readonly findings: readonly Finding[];
  readonly edits: readonly Edit[];
  /** What could not be judged and why, for people: printed as warnings, never a denial. */
  readonly notes: readonly string[];
}

export const nothing: RuleResult = { findings: [], edits: [], notes: [] };

/**
 * A contradiction between two places of a policy file that each are valid: refused when the file is loaded.
 * Paths are those of the file, e.g. `['profiles', 1, 'tolerations', 0]`.
 */
export interface Contradiction {
  readonly path: readonly (string | number)[];
  readonly other?: readonly (string | number)[];
  readonly message: string;
}

/** Something that a good policy leaves unjudged or unenforced: said to whoever installs it, refused by nobody. */
export interface Lack {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** A rule, with everything that the rest of the product assembles from it. `Settings` is its entry under `rules:` in the policy file. */
export interface Rule<Settings = unknown, Compiled = unknown> {
  readonly id: string;
  /** One sentence for the table of rules. */
  readonly summary: string;
  readonly on: readonly RequestMatch[];
  readonly settings: { readonly schema: JsonSchema; readonly defaults: Settings };
  readonly reasons: Readonly<Record<string, ReasonText>>;
  /** What the rule derives from its settings once per policy. Called only with a policy without contradictions. */
  readonly compile: (settings: Settings, policy: Policy) => Compiled;
  /**
   * For a rule about pods that are no workflow pods: keys of tolerations. Such a pod, or workload, is sent only if it tolerates one of them, or
   * has a toleration without a key. Left out, the rule is about workflow pods, or about no pods.
   */
  readonly tolerationKeys?: (settings: Settings) => readonly string[];
  /** Contradictions inside the rule's settings, or between them and the rest. */
  readonly check: (settings: Settings, policy: Policy) => readonly Contradiction[];
  /** What the settings leave unjudged, beside an enforcement that is lower than enforce. */
  readonly lacks?: (settings: Settings, policy: Policy) => readonly Lack[];
  /** The enforcement that the policy gives a reason, before preset and ceilings; for `''`, the rule's own: a rule that is off is not asked. */
  readonly enforcement: (settings: Settings, reason: string) => Enforcement;
  /**
   * Nodes and pods that the rule must know of. The edge looks up those that the snapshot lacks, and asks again with the answers: an answer
   * may raise another question.
   */
  readonly needs: (input: NeedsInput) => readonly Need[];
  /** False for a rule that no exemption keeps from judging; left out: true. */
  readonly exemptible?: boolean;
  /** The admission phases in which the rule does something under its settings: which webhooks are registered. */
  readonly phases: (settings: Settings) => readonly Phase[];
  /** Whether the rule judges this subject at all, exemptions aside. */
  readonly judges: (subject: Subject, policy: CompiledPolicy) => boolean;
  readonly evaluate: (input: RuleInput, compiled: Compiled) => RuleResult;
}

/** A rule whose settings have been bound: what the ordered list holds, so that the list needs no type parameters. */
export interface BoundRule
  extends Omit<Rule, 'compile' | 'tolerationKeys' | 'check' | 'lacks' | 'enforcement' | 'phases' | 'evaluate'> {
  readonly compile: (policy: Policy) => unknown;
  readonly tolerationKeys: ((policy: Policy) => readonly string[]) | undefined;
  readonly check: (policy: Policy) => readonly Contradiction[];
  readonly lacks: (policy: Policy) => readonly Lack[];
  readonly enforcement: (policy: Policy, reason: string) => Enforcement;
  readonly phases: (policy: Policy) => readonly Phase[];
  readonly evaluate: (input: RuleInput) => RuleResult;
}

/**
 * Binds a rule to its entry of the policy. The two casts here are the only ones: the entry has passed the rule's own JSON
 * Schema when the policy file was loaded, and the compiled value is what this rule's `compile` returned.
 */
export function defineRule<Settings, Compiled>(rule: Rule<Settings, Compiled>): BoundRule {
  const settingsOf = (policy: Policy): Settings => policy.rules[rule.id] as Settings;
  const { tolerationKeys } = rule;
  return {
    ...rule,
    compile: (policy) => rule.compile(settingsOf(policy), policy),
    tolerationKeys: tolerationKeys && ((policy) => tolerationKeys(settingsOf(policy))),
    check: (policy) => rule.check(settingsOf(policy), policy),
    lacks: (policy) => rule.lacks?.(settingsOf(policy), policy) ?? [],
    enforcement: (policy, reason) => rule.enforcement(settingsOf(policy), reason),
    phases: (policy) => rule.phases(settingsOf(policy)),
    evaluate: (input) => rule.evaluate(input, input.policy.settings.get(rule.id) as Compiled),
  };
}

/** Schema of an enforcement. Helm's YAML reads a bare `off` as false: the loader turns it back before validation. */
export function enforcementSchema(levels: readonly Enforcement[], description: string): JsonSchema {
  return { enum: levels, description };
}
