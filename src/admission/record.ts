import type { Evaluation } from '../policy/evaluate.ts';
import { clip } from '../policy/kube/text.ts';
import type { PatchOperation } from '../policy/model/edit.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import type { AuditRecord } from '../policy/model/record.ts';
import { type AdmissionRequest, nameOf, type Phase } from '../policy/model/request.ts';
import type { NodeSnapshot } from '../policy/model/snapshot.ts';

/** Longest name that Kubernetes has for objects; user and group names are cut there too. */
const maxNameLength = 253;
const maxGroups = 32;

/** Lists and texts that a request may make long are cut here, so that no record is larger than some 100 KB. */
const maxFindings = 50;
const maxTextLength = 2_048;
const maxFieldLength = 512;

export interface RecordInput {
  readonly phase: Phase;
  readonly request: AdmissionRequest;
  readonly callerVerified: boolean;
  readonly evaluation: Evaluation;
  readonly patch: readonly PatchOperation[];
  readonly policy: CompiledPolicy;
  readonly snapshot: NodeSnapshot;
  readonly nowMs: number;
  readonly durationSeconds: number;
}

/**
 * Builds the audit record of one decision: names and findings, never the object. What it holds is made in the order of its keys, as the
 * audit log writes it.
 */
export function buildRecord(input: RecordInput): AuditRecord {
  const { phase, request, callerVerified, evaluation, patch, policy, snapshot, nowMs, durationSeconds } = input;
  const { denial, undecided } = evaluation;
  return {
    kind: 'AdmissionRecord',
    time: new Date(nowMs).toISOString(),
    phase,
    requestUID: clip(request.uid, maxNameLength),
    callerVerified,
    user: {
      groups: request.requester.groups.slice(0, maxGroups).map((group) => clip(group, maxNameLength)),
      username: clip(request.requester.username, maxNameLength),
    },
    verb: request.operation.toLowerCase(),
    objectRef: {
      apiGroup: clip(request.resource.group, maxNameLength),
      apiVersion: clip(request.resource.version, maxNameLength),
      name: clip(objectName(request), maxNameLength),
      namespace: clip(request.namespace, maxNameLength),
      resource: clip(request.resource.resource, maxNameLength),
      subresource: clip(request.subResource, maxNameLength),
    },
    dryRun: request.dryRun,
    decision: undecided !== undefined ? 'error' : denial === undefined ? 'allow' : 'deny',
    rules: evaluation.rules,
    findings: evaluation.findings.slice(0, maxFindings).map(({ rule, reason, enforcement, field, message }) => ({
      enforcement,
      field: clip(field, maxFieldLength),
      message: clip(message, maxTextLength),
      reason,
      rule,
    })),
    warnings: evaluation.warnings.slice(0, maxFindings).map((warning) => clip(warning, maxTextLength)),
    patch: patchPaths(patch),
    exemptions: evaluation.exemptions.map(({ reason, rules }) => ({ reason: clip(reason, maxTextLength), rules })),
    ...(undecided !== undefined && { error: clip(undecided, maxTextLength) }),
    policyDigest: policy.digest,
    nodes: {
      ageSeconds: snapshot.confirmedAtMs === undefined ? null : Math.max(0, nowMs - snapshot.confirmedAtMs) / 1000,
      resourceVersion: snapshot.resourceVersion,
      state: snapshot.state,
    },
    durationSeconds,
  };
}

/** Room for every patch but that of a pod with very many terms, which would make a record of megabytes. */
const maxPatchPaths = 100;

function patchPaths(patch: readonly PatchOperation[]): readonly string[] {
  const paths = patch.slice(0, maxPatchPaths).map(({ path }) => clip(path, maxFieldLength));
  return patch.length > maxPatchPaths ? [...paths, `(and ${patch.length - maxPatchPaths} more)`] : paths;
}

/** While mutating, a pod with only a generateName has no name yet. */
function objectName({ name, subject }: AdmissionRequest): string {
  if (name !== '' || subject === undefined) return name;
  return nameOf(subject);
}
