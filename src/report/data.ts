import type { Reconciliation } from '../audit/read/reconcile.ts';
import type { Span } from '../audit/read/spans.ts';
import type { Summary } from '../audit/read/summary.ts';
import type { ChainReport } from '../audit/read/verify-chain.ts';
import type { Exemption } from '../policy/model/policy.ts';
import type { NodeStanding } from '../policy/standing.ts';
import type { Denials } from './denials.ts';
import type { EncodedRecords } from './encode.ts';
import type { History } from './history.ts';
import type { LoggedNode } from './node-log.ts';
import type { Sampling } from './sample.ts';

/** All that a report says, as the readers of the log found it. */
export interface ReportData {
  /** When it was made; milliseconds of the Unix epoch. */
  readonly nowMs: number;
  readonly files: readonly string[];
  readonly summary: Summary;
  readonly history: History;
  readonly denials: Denials;
  readonly errors: number;
  readonly chains: readonly CheckedChain[];
  /** Whether keys were given. */
  readonly trusted: boolean;
  /** Undefined where the API server's log was not given. */
  readonly reconciliation: CheckedAgainst | undefined;
  /** Lines that are none of an audit log. */
  readonly badLines: number;
  /** Lines that bear no time that can be read: they are counted, and stand in no plot. */
  readonly undated: number;
  /** What was asked for of the log; endless where all of it was. */
  readonly span: Span;
  readonly policy: PolicyInForce | undefined;
  readonly nodes: NodesSeen;
  readonly sampling: Sampling;
  readonly records: EncodedRecords;
}

export interface CheckedChain extends ChainReport {
  readonly replica: string;
  readonly files: readonly string[];
}

export interface CheckedAgainst extends Reconciliation {
  /** Whether a policy told which requests are ours. */
  readonly scope: boolean;
}

/** The policy that came into force last, as far as this version can read it. */
export interface PolicyInForce {
  readonly digest: string;
  readonly exemptions: readonly Exemption[];
  /** What it leaves open, `path message`. */
  readonly lacks: readonly string[];
  /** How many rules and reasons it made deny nothing that deny by default. */
  readonly lowered: number;
}

export interface NodesSeen {
  /** What the log last said of each. */
  readonly logged: readonly LoggedNode[];
  /** As they stand; undefined where no cluster was given. */
  readonly live: LiveNodes | undefined;
}

export interface LiveNodes {
  /** What was read: a file, or the cluster of a kubeconfig. */
  readonly source: string;
  readonly standings: readonly NodeStanding[];
  readonly unread: readonly string[];
}
