import { markLabel, type Node, verifiedAnnotation } from '../policy/model/node.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import { field, readObject, readString, ShapeError } from '../policy/model/read.ts';
import { readNode } from '../policy/model/read-node.ts';
import type { NodeSource } from '../policy/model/snapshot.ts';
import { isQuarantineOn, marksOf, sameMarks } from '../policy/quarantine.ts';
import { type ApiClient, ApiError } from './api-client.ts';
import { type Lease, type LeaseState, releaseAtEnd } from './lease.ts';
import { createDutyJudge, type Terms, violationsOf } from './mark-duties.ts';
import { createTruce } from './truce.ts';

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
  /** Ends it, and lets go of the Lease. */
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
/** A look with more to write goes on at the next one: the Lease is renewed in between. */
const writingMs = 5_000;
/** One node that does not answer must not take the time of the others. */
const nodePatienceMs = 3_000;

export function startQuarantineReconciler(options: ReconcilerOptions): Reconciler {
  const { lease, nodes, policy, log, now, sleep, intervalMs = defaultIntervalMs } = options;
  const ending = new AbortController();
  const truce = createTruce();
  const judge = createDutyJudge(options.isExempt);
  /** Enforced, and installed, as of the present look. */
  let on = false;
  let reported: ReadonlyMap<string, string> = new Map();
  let figures = { marked: 0, reported: 0 };
  let failing = false;
  /** The node that was tried last: the next look goes on after it. */
  let lastTried = '';

  const terms = (onSinceMs: number): Terms => ({ policy: on ? policy() : undefined, onSinceMs, nowMs: now() });

  /** Nodes whose marks are not those that they should have. */
  const wrong = (onSinceMs: number): readonly Node[] => {
    const current = terms(onSinceMs);
    return [...nodes.snapshot().nodes.values()].filter((node) => !sameMarks(judge(node, current).due, marksOf(node)));
  };

  /** Names what violates and is not marked for it, once for each change. */
  const report = (onSinceMs: number): number => {
    const current = terms(onSinceMs);
    const found = new Map<string, string>();
    for (const node of nodes.snapshot().nodes.values()) {
      const { reported: reasons } = judge(node, current);
      if (reasons === '') continue;
      found.set(node.name, reasons);
      if (reported.get(node.name) === reasons) continue;
      log(
        'warn',
        'a node violates the guide and is not marked: it was verified before, is older than quarantine, or is a control-plane node',
        { node: node.name, reasons },
      );
    }
    reported = found;
    return found.size;
  };

  const hold = async (signal: AbortSignal): Promise<LeaseState> => {
    const state = await lease.tryHold(signal);
    // Only who leads needs to know.
    if (state.state === 'other') return state;
    on = isQuarantineOn(policy()) && (await options.isInstalled(signal));
    if (state.state === 'held') return state;
    // Off and nothing left to take away: there is nothing to hold a Lease for.
    if (!on && wrong(now()).length === 0) return state;
    return lease.create(signal);
  };

  const look = async (): Promise<void> => {
    // Without the whole list a node that is not there might only not be known.
    if (nodes.snapshot().state !== 'synced') return;
    const signal = AbortSignal.any([ending.signal, AbortSignal.timeout(patienceMs)]);
    const state = await hold(signal);
    const refused = state.state === 'held' ? await setAllRight(state.createdAtMs, signal) : undefined;
    const marked = [...nodes.snapshot().nodes.values()].filter((node) => marksOf(node).mark !== undefined).length;
    figures = { marked, reported: state.state === 'held' ? report(state.createdAtMs) : 0 };
    if (refused !== undefined) throw refused;
  };

  /** @returns the first failure of a node, which keeps nobody from the others. @throws Error where the API server does not answer. */
  const setAllRight = async (onSinceMs: number, signal: AbortSignal): Promise<Error | undefined> => {
    const startedMs = now();
    const due = wrong(onSinceMs).map(({ name }) => name);
    const from = due.indexOf(lastTried) + 1;
    let refused: Error | undefined;
    for (const name of [...due.slice(from), ...due.slice(0, from)]) {
      if (now() - startedMs >= writingMs || !lease.isHeld()) break;
      if (!truce.isOpen(name, now())) continue;
      lastTried = name;
      const own = AbortSignal.timeout(nodePatienceMs);
      try {
        await setRight(name, onSinceMs, AbortSignal.any([signal, own]));
      } catch (error) {
        if (signal.aborted || !(isOfOneNode(error) || own.aborted)) throw error;
        refused ??= error instanceof Error ? error : new Error(String(error));
      }
    }
    if (!on && due.length === 0) {
      await lease.remove(signal);
      log('info', 'quarantine is off, and no mark is left', {});
    }
    return refused;
  };

  /** Decides anew on the live node, and writes against that very version: an index is a little behind. */
  const setRight = async (name: string, onSinceMs: number, signal: AbortSignal): Promise<void> => {
    const path = `/api/v1/nodes/${encodeURIComponent(name)}`;
    try {
      const live = readObject(await options.client.get(path, {}, signal), 'Node');
      const node = readNode(live, 'Node');
      const { due } = judge(node, terms(onSinceMs));
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
      await options.client.send('PATCH', path, body, signal, 'application/merge-patch+json');
      options.onWrite('success');
      log('info', 'marks of a node set right', {
        node: name,
        mark: due.mark ?? 'none',
        verified: due.verified ?? 'no',
        was: has.mark ?? 'none',
        ...(due.mark === 'violated' && { reasons: violationsOf(node, policy()) }),
      });
      if (truce.count(name, now())) {
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
    figures: () => ({ ...figures, leading: lease.isHeld() }),
    async stop() {
      ending.abort();
      await running;
      await releaseAtEnd(lease, (error) =>
        log('warn', 'the Lease was not let go of: another replica leads once it has run out', { error }),
      );
    },
  };
}

/** An answer, whatever it is, is about the node that was asked for: another webhook may have given it. No answer at all is about the API server. */
function isOfOneNode(error: unknown): boolean {
  return error instanceof ShapeError || (error instanceof ApiError && error.status > 0);
}
