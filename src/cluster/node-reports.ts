import { createHash } from 'node:crypto';
import { clip } from '../policy/kube/text.ts';
import type { Node } from '../policy/model/node.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import { type ChangeReason, newMark, nodeChanges, roleChange } from '../policy/node-changes.ts';
import { type ApiClient, ApiError } from './api-client.ts';
import { workflowPodsOn } from './node-pods.ts';

/*
 * Tells people of nodes that change without an admission request that anybody judges: one log line, one count, one Event on the Node.
 * Every replica watches, so every replica logs and counts; the Event's name follows from the change, so that there is one.
 */

export interface NodeReportsOptions {
  readonly client: ApiClient;
  readonly policy: () => CompiledPolicy;
  /** Whether pods may be listed, to name those that run on a node. */
  readonly searchPods: boolean;
  /** Name under which Events are reported. */
  readonly component: string;
  /** Where Events of nodes stand. */
  readonly namespace: string;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  readonly onReport: (reason: ChangeReason) => void;
  /** Milliseconds of the Unix epoch. */
  readonly now: () => number;
}

export interface NodeReports {
  /** Takes note of a node that is new (`before` undefined) or has changed. Returns at once. */
  changed(node: Node, before: Node | undefined, resourceVersion: string): void;
  /** Gives up what is still to be told. */
  stop(): Promise<void>;
}

interface Report {
  readonly node: string;
  readonly reason: ChangeReason;
  readonly message: string;
  readonly resourceVersion: string;
}

const patienceMs = 10_000;

/** A fleet that is upgraded changes node by node; more than this at once is an accident of the whole, and the log has it all. */
const maxWaiting = 1_000;

/** A change of one kind on one node is told of at most so often. */
const quietMs = 60_000;

/** As many as a person reads. */
const maxNames = 5;

/** Reasons of Events are one word in CamelCase (kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1). */
const eventReasons: Readonly<Partial<Record<ChangeReason, string>>> = {
  capacity: 'NodeCapacityShrank',
  'type-changed': 'NodeTypeChanged',
  quarantined: 'NodeQuarantined',
};

export function createNodeReports(options: NodeReportsOptions): NodeReports {
  const { client, policy, log, onReport, now } = options;
  const ending = new AbortController();
  let waiting = 0;
  let last: Promise<void> = Promise.resolve();
  let failing = false;
  let overflowing = false;
  /** When what was told of which node, in the order of time. */
  const toldAtMs = new Map<string, number>();

  /** One after the other: an API server in trouble must not meet a burst. @returns false where there is no room for more. */
  const enqueue = (work: (signal: AbortSignal) => Promise<void>): boolean => {
    if (waiting >= maxWaiting) {
      if (!overflowing) log('warn', 'too many nodes change at once: no Event is written of some');
      overflowing = true;
      return false;
    }
    overflowing = false;
    waiting += 1;
    last = last.then(async () => {
      try {
        if (!ending.signal.aborted) await work(AbortSignal.any([ending.signal, AbortSignal.timeout(patienceMs)]));
        failing = false;
      } catch (error) {
        if (!failing && !ending.signal.aborted) {
          log('warn', 'changes of nodes cannot be reported on the nodes', { error: String(error) });
        }
        failing = true;
      } finally {
        waiting -= 1;
      }
    });
    return true;
  };

  /** A node that changes on and off is told of once in a while, not each time. */
  const isTooSoon = (node: string, reason: ChangeReason): boolean => {
    const nowMs = now();
    for (const [key, atMs] of toldAtMs) if (nowMs - atMs >= quietMs) toldAtMs.delete(key);
    const key = `${reason} ${node}`;
    if (toldAtMs.has(key)) return true;
    toldAtMs.set(key, nowMs);
    return false;
  };

  const tell = ({ node, reason, message }: Report): void => {
    log('warn', 'a node has changed', { node, reason, detail: message });
    onReport(reason);
  };

  const writeEvent = async (report: Report, signal: AbortSignal): Promise<void> => {
    try {
      await client.send(
        'POST',
        `/api/v1/namespaces/${options.namespace}/events`,
        eventOf(report, options, now()),
        signal,
      );
    } catch (error) {
      // Another replica was quicker.
      if (!(error instanceof ApiError && error.status === 409)) throw error;
    }
  };

  /** Names the pods that were placed for what the node was. A mark is told of in any case; another type only where such pods run. */
  const reportWithPods = (report: Report): void => {
    const isTold = enqueue(async (signal) => {
      let pods: readonly string[] = [];
      let failure: unknown;
      try {
        if (options.searchPods) pods = await workflowPodsOn(client, report.node, policy(), signal);
      } catch (error) {
        failure = error;
      }
      if (pods.length === 0 && failure === undefined && report.reason === 'type-changed') return;
      const full = { ...report, message: report.message + runningText(pods, report.node) };
      tell(full);
      if (failure !== undefined) throw failure;
      await writeEvent(full, signal);
    });
    if (!isTold) tell(report);
  };

  return {
    changed(node, before, resourceVersion) {
      const current = policy();
      for (const { reason, message, isEvent } of before === undefined
        ? []
        : nodeChanges(node, before, current, now())) {
        if (isTooSoon(node.name, reason)) continue;
        const report = { node: node.name, reason, message, resourceVersion };
        tell(report);
        if (isEvent) enqueue((signal) => writeEvent(report, signal));
      }
      const mark = newMark(node, before, current);
      if (mark !== undefined && !isTooSoon(node.name, 'quarantined')) {
        const message = `new workflow pods stay off this node: ${mark}`;
        reportWithPods({ node: node.name, reason: 'quarantined', message, resourceVersion });
      }
      const role = before === undefined ? undefined : roleChange(node, before, current);
      if (role !== undefined && !isTooSoon(node.name, 'type-changed')) {
        const message = `this node was ${role.from} and is ${role.to}`;
        reportWithPods({ node: node.name, reason: 'type-changed', message, resourceVersion });
      }
    },
    async stop() {
      ending.abort();
      await last;
    },
  };
}

function runningText(pods: readonly string[], node: string): string {
  if (pods.length === 0) return '';
  const more = pods.length > maxNames ? ` and ${pods.length - maxNames} more` : '';
  return `; workflow pods run there: ${pods.slice(0, maxNames).join(', ')}${more}. They go on until its kubelet restarts, which ends pods whose node affinity no longer fits: drain it (kubectl drain ${node}) or undo the change`;
}

/** The same for every replica that saw the same change, name and all. */
function eventOf(
  { node, reason, message, resourceVersion }: Report,
  { component, namespace }: NodeReportsOptions,
  nowMs: number,
): object {
  const digest = createHash('sha256').update(`${node}\n${reason}\n${resourceVersion}`).digest('hex').slice(0, 16);
  const at = new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z');
  return {
    apiVersion: 'v1',
    kind: 'Event',
    // A name of 253 characters, as a node may have, leaves no room for more.
    metadata: { name: `${node.slice(0, 200).replace(/[^a-z0-9]+$/, '')}.${digest}`, namespace },
    // `kubectl describe node` looks for the kubelet's habit: the name as uid.
    involvedObject: { apiVersion: 'v1', kind: 'Node', name: node, uid: node },
    type: 'Warning',
    reason: eventReasons[reason] ?? 'NodeNonConforming',
    // The API server refuses more than 1,024.
    message: clip(message, 1_024),
    source: { component },
    firstTimestamp: at,
    lastTimestamp: at,
    count: 1,
  };
}
