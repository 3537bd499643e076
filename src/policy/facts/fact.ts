import type { Node } from '../model/node.ts';
import type { CompiledPolicy, NodeType } from '../model/policy.ts';
import type { Reason } from './reasons.ts';
import type { ConformanceSettings } from './settings.ts';

export type Verdict = 'meets' | 'violates' | 'unknown';

/** One requirement of the guide, held against one node. */
export interface Fact {
  readonly reason: Reason;
  readonly verdict: Verdict;
  /** What the node shows; empty where it shows nothing. For people, and clipped. */
  readonly has: string;
  /** What the policy asks for. For people. */
  readonly needs: string;
  /** The row of the guide that asks for it (facts/guide.ts); empty where the policy alone does. */
  readonly guide: string;
  /** The field of the Node that shows it. */
  readonly field: string;
  /** What to do about a violation; one clause, by package, command or setting. */
  readonly fix: string;
}

/** What a judge of facts may look at. */
export interface FactInput {
  readonly node: Node;
  /** The node's type by its label; undefined = untyped. */
  readonly type: NodeType | undefined;
  readonly controlPlane: boolean;
  readonly policy: CompiledPolicy;
  readonly settings: ConformanceSettings;
  /** The last Node of this name that the watch held, if any. */
  readonly previous: Node | undefined;
}

/** Yields the facts of one requirement: none where it does not apply to the node. */
export type Judge = (input: FactInput) => readonly Fact[];
