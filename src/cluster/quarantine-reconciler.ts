import { violations } from '../policy/facts/conformance.ts';
import { markLabel, type Node, verifiedAnnotation } from '../policy/model/node.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import { field, readObject, readString } from '../policy/model/read.ts';
import { readNode } from '../policy/model/read-node.ts';
import type { NodeSource } from '../policy/model/snapshot.ts';
import {
  isQuarantineOn,
  type Marks,
  marksDue,
  marksOf,
  quarantineFacts,
  sameMarks,
  unmarked,
} from '../policy/quarantine.ts';
import { quarantineSettings } from '../policy/rules/node-quarantine.ts';
import { type ApiClient, ApiError } from './api-client.ts';
import type { Lease, LeaseState } from './lease.ts';

/*
 * Sets the marks of nodes right where no admission request does: nodes that registered while the webhook was away, facts that came late or
 * by status alone, waiting that has ended, and all of them once quarantine is off. Runs on the replica that holds the Lease.
 */

export interface ReconcilerOptions {
  readonly client: ApiClient;
  readonly lease: Lease;
  readonly nodes: NodeSource;
  readonly policy: () => CompiledPolicy;
  /** Whether the webhook configurations are there: without them it is being uninstalled, and all marks go. @throws ApiError */
  readonly isInstalled: (signal: AbortSignal) => Promise<boolean>;
  /** Whether the policy exempts a node from quarantine. */
  readonly isExempt: (node: Node, policy: CompiledPolicy) => boolean;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  readonly onWrite: (outcome: 'success' | 'failure') => void;
  readonly now: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Time between two looks, in milliseconds. */
  readonly intervalMs?: number;
}

export interface Reconciler {
  /** How many nodes bear the mark, and how many only should not be relied on: verified or older ones that violate. */
  figures(): ReconcilerFigures;
  stop(): Promise<void>;
}

export interface ReconcilerFigures {
  readonly leading: boolean;
  readonly marked: number;
  readonly reported: number;
}

const defaultIntervalMs = 5_000;
const unsyncedIntervalMs = 200;
const patienceMs = 10_000;

/** A node whose marks somebody else sets back again and again is left alone after so many writes, for so long. */
const maxWrites = 5;
const truceMs = 10 * 60_000;

export function startQuarantineReconciler(options: ReconcilerOptions): Reconciler {
  const { lease, nodes, policy, log, now, sleep, intervalMs = defaultIntervalMs } = options;
  const ending = new AbortController();
  const writes: Writes = new Map();
  /** Enforced, and installed, as of the present look. */
  let on = false;
  const reported = new Map<string, string>();
  let figures: ReconcilerFigures = { leading: false, marked: 0, reported: 0 };
  let failing = false;

  /** Marks that each node should have, where they differ from those that it has. */
  const duties = (onSinceMs: number): readonly { readonly node: Node; readonly due: Marks }[] => {
    const current = policy();
    return [...nodes.snapshot().nodes.values()].flatMap((node) => {
      const due = dueOf(node, on ? current : undefined, onSinceMs, options);
      return sameMarks(due, marksOf(node)) ? [] : [{ node, due }];
    });
  };

  const report = (): number => {
    const current = policy();
    let count = 0;
    for (const node of nodes.snapshot().nodes.values()) {
      const violated = on && marksOf(node).mark === undefined ? violationsOf(node, current) : '';
      if (violated !== '') count += 1;
      if (violated !== '' && reported.get(node.name) !== violated) {
        log(
          'warn',
          'a node violates the guide and is not marked: it was verified before, or is older than quarantine',
          {
            node: node.name,
            reasons: violated,
          },
        );
      }
      if (violated === '') reported.delete(node.name);
      else reported.set(node.name, violated);
    }
    return count;
  };

  const hold = async (signal: AbortSignal): Promise<LeaseState> => {
    const state = await lease.tryHold(signal);
    // Only who leads needs to know.
    if (state.state === 'other') return state;
    on = isQuarantineOn(policy()) && (await options.isInstalled(signal));
    if (state.state === 'held') return state;
    // Off and nothing left to take away: there is nothing to hold a Lease for.
    if (!on && duties(now()).length === 0) return state;
    return lease.create(signal);
  };

  const look = async (): Promise<void> => {
    // Without the whole list a node that is not there might only not be known.
    if (nodes.snapshot().state !== 'synced') return;
    const signal = AbortSignal.any([ending.signal, AbortSignal.timeout(patienceMs)]);
    const state = await hold(signal);
    const leading = state.state === 'held';
    if (leading) {
      const due = duties(state.createdAtMs);
      for (const { node } of due) {
        if (ending.signal.aborted) return;
        if (isAtPeace(writes, node.name, now())) await setRight(node.name, state.createdAtMs, signal);
      }
      if (!on && due.length === 0) {
        await lease.remove(signal);
        log('info', 'quarantine is off, and no mark is left', {});
      }
    }
    const marked = [...nodes.snapshot().nodes.values()].filter((node) => marksOf(node).mark !== undefined).length;
    figures = { leading, marked, reported: leading ? report() : 0 };
  };

  /** Decides anew on the live node, and writes against that very version: an index is a little behind. */
  const setRight = async (name: string, onSinceMs: number, signal: AbortSignal): Promise<void> => {
    const path = `/api/v1/nodes/${encodeURIComponent(name)}`;
    try {
      const live = readObject(await options.client.get(path, {}, signal), 'Node');
      const node = readNode(live, 'Node');
      const due = dueOf(node, on ? policy() : undefined, onSinceMs, options);
      const has = marksOf(node);
      if (sameMarks(due, has)) return;
      const metadata = readObject(field(live, 'metadata'), 'Node.metadata');
      const body = {
        metadata: {
          resourceVersion: readString(field(metadata, 'resourceVersion'), 'Node.metadata.resourceVersion'),
          ...(due.mark !== has.mark && { labels: { [markLabel]: due.mark ?? null } }),
          ...(due.verified !== has.verified && { annotations: { [verifiedAnnotation]: due.verified ?? null } }),
        },
      };
      countWrite(writes, name, now());
      await options.client.send('PATCH', path, body, signal, 'application/merge-patch+json');
      options.onWrite('success');
      log('info', 'marks of a node set right', {
        node: name,
        mark: due.mark ?? 'none',
        verified: due.verified ?? 'no',
        was: has.mark ?? 'none',
        ...(due.mark === 'violated' && { reasons: violationsOf(node, policy()) }),
      });
      if (writes.get(name)?.count === maxWrites) {
        log('error', 'somebody sets the marks of a node back again and again: it is left alone for ten minutes', {
          node: name,
        });
      }
    } catch (error) {
      // Gone, or changed meanwhile: the next look sees it.
      if (error instanceof ApiError && (error.status === 404 || error.status === 409)) return;
      options.onWrite('failure');
      throw error;
    }
  };

  const loop = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      try {
        await look();
        failing = false;
      } catch (error) {
        if (ending.signal.aborted) return;
        if (!failing) log('error', 'the marks of nodes could not be set right; trying again', { error: String(error) });
        failing = true;
      }
      // Until nodes are known nothing is done, and until the Lease is there every node is one from before.
      await sleep(nodes.snapshot().state === 'unsynced' ? unsyncedIntervalMs : intervalMs, ending.signal);
    }
  };
  const running = loop();
  return {
    figures: () => figures,
    async stop() {
      ending.abort();
      await running;
    },
  };
}

/** @param policy undefined while quarantine is off. */
function dueOf(
  node: Node,
  policy: CompiledPolicy | undefined,
  onSinceMs: number,
  { isExempt, now }: ReconcilerOptions,
): Marks {
  if (policy === undefined || isExempt(node, policy)) return unmarked;
  const { awaited, awaitForMs } = quarantineSettings(policy);
  return marksDue({ node, policy, awaited, awaitForMs, onSinceMs, nowMs: now() });
}

function violationsOf(node: Node, policy: CompiledPolicy): string {
  return violations(quarantineFacts(node, policy))
    .map(({ reason, has, needs }) => `${reason}: has ${has}, needs ${needs}`)
    .join('; ');
}

type Writes = Map<string, { count: number; sinceMs: number }>;

function countWrite(writes: Writes, name: string, nowMs: number): void {
  const before = writes.get(name);
  if (before === undefined || nowMs - before.sinceMs > truceMs) writes.set(name, { count: 1, sinceMs: nowMs });
  else before.count += 1;
}

function isAtPeace(writes: Writes, name: string, nowMs: number): boolean {
  const before = writes.get(name);
  return before === undefined || before.count < maxWrites || nowMs - before.sinceMs > truceMs;
}
