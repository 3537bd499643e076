import { type Evaluation, evaluate, prepare } from '../policy/evaluate.ts';
import { toJsonPatch } from '../policy/json-patch.ts';
import { type ClassesOf, fixedClaims } from '../policy/model/claims.ts';
import type { PatchOperation } from '../policy/model/edit.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import type { AuditRecord } from '../policy/model/record.ts';
import type { AdmissionRequest, Phase } from '../policy/model/request.ts';
import type { NodeLookup, NodeSnapshot, NodeSource } from '../policy/model/snapshot.ts';
import { type ClusterView, createView } from '../policy/model/view.ts';
import type { BoundRule } from '../policy/rule.ts';
import { buildRecord } from './record.ts';
import { type AdmissionResponse, buildResponse } from './response.ts';

/** What one request is judged by. Clocks are arguments: the same input gives the same answer. */
export interface AdmitContext {
  readonly rules: readonly BoundRule[];
  /** The policy in force; asked once per request, so that a reload never splits one. */
  readonly policy: () => CompiledPolicy;
  readonly nodes: NodeSource;
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

/** Judges one request. Server, CLI and tests share it. Synchronous unless a node must be looked up that the snapshot lacks. */
export type Admit = (phase: Phase, request: AdmissionRequest, deadlineMs: number) => Admission | Promise<Admission>;

const noLookups: ReadonlyMap<string, NodeLookup> = new Map();

export function createAdmit(context: AdmitContext): Admit {
  const { rules, nodes } = context;
  const viewOf = createViewCache(context.classesOf ?? fixedClaims([], 'there are no claims to look in'));
  return (phase, request, deadlineMs) => {
    const startedMs = context.monotonic();
    const nowMs = context.now();
    const policy = context.policy();
    const snapshot = nodes.snapshot();
    const preparation = prepare({ phase, request, policy, nowMs }, rules);
    const finish = (lookups: ReadonlyMap<string, NodeLookup>): Admission => {
      const view = viewOf(policy, snapshot);
      const evaluation = evaluate({ phase, request, policy, view, lookups, nowMs }, preparation);
      const patch = toJsonPatch(request.object, evaluation.edits);
      const durationSeconds = (context.monotonic() - startedMs) / 1000;
      return {
        response: buildResponse(request, evaluation, patch, policy.digest),
        record: buildRecord({ phase, request, evaluation, patch, policy, snapshot, nowMs, durationSeconds }),
        evaluation,
        patch,
      };
    };
    if (preparation.nodes.length === 0) return finish(noLookups);
    const lookups = new Map<string, NodeLookup>();
    const missing: string[] = [];
    for (const name of preparation.nodes) {
      const node = snapshot.nodes.get(name);
      if (node === undefined) missing.push(name);
      else lookups.set(name, { state: 'found', node });
    }
    if (missing.length === 0) return finish(lookups);
    const signal = AbortSignal.timeout(Math.max(1, Math.floor(deadlineMs)));
    return Promise.all(missing.map(async (name) => lookups.set(name, await nodes.lookUp(name, signal)))).then(() =>
      finish(lookups),
    );
  };
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
