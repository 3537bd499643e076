import { type Evaluation, evaluate, type Preparation, prepare } from '../policy/evaluate.ts';
import { toJsonPatch } from '../policy/json-patch.ts';
import { type ClassesOf, fixedClaims } from '../policy/model/claims.ts';
import type { PatchOperation } from '../policy/model/edit.ts';
import type { NoteKeeper } from '../policy/model/notes.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import type { AuditRecord } from '../policy/model/record.ts';
import type { AdmissionRequest, Phase } from '../policy/model/request.ts';
import {
  type Lookups,
  type NodeLookup,
  type NodeSnapshot,
  type NodeSource,
  noLookups,
  type PodLookup,
  type PodSource,
  podKey,
} from '../policy/model/snapshot.ts';
import { type ClusterView, createView } from '../policy/model/view.ts';
import type { BoundRule, Need } from '../policy/rule.ts';
import { buildRecord } from './record.ts';
import { type AdmissionResponse, buildResponse } from './response.ts';

/** What one request is judged by. Clocks are arguments: the same input gives the same answer. */
export interface AdmitContext {
  readonly rules: readonly BoundRule[];
  /** The policy in force; asked once per request, so that a reload never splits one. */
  readonly policy: () => CompiledPolicy;
  readonly nodes: NodeSource;
  readonly pods: PodSource;
  readonly notes: NoteKeeper;
  /** The device classes of resource claims; left out: nobody knows of any. */
  readonly classesOf?: ClassesOf;
  /** Wall clock, milliseconds of the Unix epoch. */
  readonly now: () => number;
  /** A monotonic clock in milliseconds, for durations. */
  readonly monotonic: () => number;
}

export interface Admission {
  readonly response: AdmissionResponse;
  readonly record: AuditRecord;
  readonly evaluation: Evaluation;
  readonly patch: readonly PatchOperation[];
}

/** Judges one request. Server, CLI and tests share it. Synchronous unless something must be looked up that the snapshot lacks. */
export type Admit = (
  phase: Phase,
  request: AdmissionRequest,
  deadlineMs: number,
  callerVerified?: boolean,
) => Admission | Promise<Admission>;

export function createAdmit(context: AdmitContext): Admit {
  const { rules, nodes } = context;
  const viewOf = createViewCache(context.classesOf ?? fixedClaims([], 'there are no claims to look in'));
  return (phase, whole, deadlineMs, callerVerified = false) => {
    let request = whole;
    const startedMs = context.monotonic();
    const nowMs = context.now();
    const policy = context.policy();
    const snapshot = nodes.snapshot();
    const { notes } = context;
    const prepared = (lookups: Lookups): Preparation =>
      prepare({ phase, request, policy, lookups, nowMs, notes }, rules);
    const finish = (lookups: Lookups, preparation: Preparation): Admission => {
      const view = viewOf(policy, snapshot);
      const evaluation = evaluate({ phase, request, policy, view, lookups, nowMs, notes }, preparation);
      const patch = toJsonPatch(request.object, evaluation.edits);
      const durationSeconds = (context.monotonic() - startedMs) / 1000;
      return {
        response: buildResponse(request, evaluation, patch, policy.digest),
        record: buildRecord({
          ...{ phase, request, callerVerified, evaluation, patch, policy, snapshot, nowMs, durationSeconds },
        }),
        evaluation,
        patch,
      };
    };
    const first = prepared(noLookups);
    if (first.needs.length === 0) return finish(noLookups, first);
    const found = { nodes: new Map<string, NodeLookup>(), pods: new Map<string, PodLookup>() };
    // What the snapshot has is taken from there; an answer may raise another question.
    let preparation = first;
    while (preparation.needs.length > 0 && takeKnown(preparation.needs, snapshot, found)) preparation = prepared(found);
    if (preparation.needs.length === 0) return finish(found, preparation);
    // Only patches are made on the raw objects, and while mutating nothing is asked for: megabytes need not wait for an answer.
    if (phase === 'validate') request = { ...request, object: undefined, oldObject: undefined };
    const signal = AbortSignal.timeout(Math.max(1, Math.floor(deadlineMs)));
    return lookUpAll(context, preparation, snapshot, found, prepared, signal).then((last) => finish(found, last));
  };
}

interface Found {
  readonly nodes: Map<string, NodeLookup>;
  readonly pods: Map<string, PodLookup>;
}

/** Takes what is needed from the snapshot, as far as it has it. @returns false where some of it must be asked for. */
function takeKnown(needs: readonly Need[], snapshot: NodeSnapshot, found: Found): boolean {
  let all = true;
  for (const need of needs) {
    const node = need.kind === 'node' ? snapshot.nodes.get(need.name) : undefined;
    if (node === undefined) all = false;
    else found.nodes.set(node.name, { state: 'found', node });
  }
  return all;
}

/** Looks up all that is needed, within one deadline. Each round answers all that is open, so there are at most as many as kinds of needs. */
async function lookUpAll(
  { nodes, pods }: AdmitContext,
  start: Preparation,
  snapshot: NodeSnapshot,
  found: Found,
  prepared: (lookups: Lookups) => Preparation,
  signal: AbortSignal,
): Promise<Preparation> {
  let preparation = start;
  while (preparation.needs.length > 0) {
    await Promise.all(
      preparation.needs.map(async (need) => {
        if (need.kind === 'pod') {
          found.pods.set(podKey(need.namespace, need.name), await pods.lookUp(need.namespace, need.name, signal));
        } else if (!found.nodes.has(need.name)) {
          found.nodes.set(need.name, await nodes.lookUp(need.name, signal));
        }
      }),
    );
    preparation = prepared(found);
    takeKnown(preparation.needs, snapshot, found);
  }
  return preparation;
}

/** A view costs a pass over all nodes: it is kept for as long as policy and nodes are the same objects. */
function createViewCache(classesOf: ClassesOf): (policy: CompiledPolicy, snapshot: NodeSnapshot) => ClusterView {
  let last: { policy: CompiledPolicy; nodes: NodeSnapshot['nodes']; view: ClusterView } | undefined;
  return (policy, snapshot) => {
    if (last?.policy !== policy || last.nodes !== snapshot.nodes || last.view.state !== snapshot.state) {
      last = { policy, nodes: snapshot.nodes, view: createView(policy, snapshot, classesOf) };
    }
    return last.view;
  };
}
