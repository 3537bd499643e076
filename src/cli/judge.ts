import type { Admission, Admit } from '../admission/admit.ts';
import { readReview } from '../admission/review.ts';
import { conformanceFacts } from '../policy/facts/conformance.ts';
import type { Fact } from '../policy/facts/fact.ts';
import type { PatchOperation } from '../policy/model/edit.ts';
import type { DecidedFinding } from '../policy/model/finding.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import { field, isObject, readObject, readString, ShapeError } from '../policy/model/read.ts';
import { readRequest, resourceOf } from '../policy/model/read-request.ts';
import { type AdmissionRequest, pathOf, type Requester } from '../policy/model/request.ts';
import type { NodeSource } from '../policy/model/snapshot.ts';
import { applyPatch } from './apply-patch.ts';
import type { ManifestObject } from './manifests.ts';

/** What the server would say about one object. */
export type Judgement = Judged | NotJudged | Failed;

export interface Judged {
  readonly outcome: 'admitted' | 'denied';
  readonly source: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly findings: readonly DecidedFinding[];
  readonly warnings: readonly string[];
  readonly patch: readonly PatchOperation[];
  readonly labels: Readonly<Record<string, string>>;
  readonly exemptions: Admission['evaluation']['exemptions'];
  readonly denial: Admission['evaluation']['denial'];
  /** The requirements of the guide, held against a node; empty for everything else. */
  readonly facts: readonly Fact[];
  readonly rules: readonly string[];
  /** Why no rule judged it; empty where one did. */
  readonly note: string;
  /** The object as mutation would leave it. */
  readonly object: unknown;
}

export interface NotJudged {
  readonly outcome: 'not judged';
  readonly source: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly why: string;
}

export interface Failed {
  readonly outcome: 'failed';
  readonly source: string;
  readonly message: string;
}

export interface JudgeOptions {
  readonly admit: Admit;
  readonly policy: CompiledPolicy;
  /** The same that `admit` sees. */
  readonly nodes: NodeSource;
  /** For objects that name no namespace. */
  readonly namespace: string;
  readonly requester: Requester;
}

/** No look-up leaves this machine, so no deadline is ever met; the value is the API server's default. */
const deadlineMs = 10_000;

/** Judges one object of a manifest as a real CREATE would be: mutation first, then validation of the patched object. */
export async function judge(manifest: ManifestObject, options: JudgeOptions): Promise<Judgement> {
  try {
    const request = toRequest(manifest.value, options);
    if (request === undefined) return notJudged(manifest, options.namespace, 'no rule covers this kind');
    return await judgeRequest(manifest, request, options);
  } catch (error) {
    if (error instanceof ShapeError) {
      return { outcome: 'failed', source: manifest.source, message: error.message.replace(/^request\.object\.?/, '') };
    }
    throw error;
  }
}

async function judgeRequest(
  manifest: ManifestObject,
  request: AdmissionRequest,
  options: JudgeOptions,
): Promise<Judgement> {
  const mutated = await options.admit('mutate', request, deadlineMs);
  const object = applyPatch(request.object, mutated.patch);
  const patched = readAgain(request, object);
  const validated = await options.admit('validate', patched, deadlineMs);
  const { evaluation, record } = validated;
  if (evaluation.undecided !== undefined)
    return { outcome: 'failed', source: manifest.source, message: evaluation.undecided };
  const { subject } = patched;
  return {
    outcome: evaluation.denial === undefined ? 'admitted' : 'denied',
    source: manifest.source,
    kind: request.kind,
    namespace: request.namespace,
    name: record.objectRef.name,
    findings: [...mutated.evaluation.findings, ...evaluation.findings],
    warnings: [...mutated.evaluation.warnings, ...evaluation.warnings],
    patch: mutated.patch,
    labels:
      subject === undefined
        ? {}
        : subject.kind === 'pod'
          ? subject.pod.labels
          : subject.kind === 'node'
            ? subject.node.labels
            : subject.binding.labels,
    exemptions: evaluation.exemptions,
    denial: evaluation.denial,
    facts:
      subject?.kind === 'node'
        ? conformanceFacts(
            subject.node,
            options.policy,
            subject.old ?? options.nodes.snapshot().nodes.get(subject.node.name),
          )
        : [],
    rules: evaluation.rules,
    note: noteOf(patched, evaluation),
    object,
  };
}

/** Why nothing was judged about an object of a kind that rules cover. */
function noteOf(request: AdmissionRequest, { rules, exemptions }: Admission['evaluation']): string {
  if (exemptions.length > 0) return `exempt: ${exemptions.map(({ reason }) => reason).join(', ')}`;
  if (rules.length > 0) return '';
  if (request.operation !== 'CREATE' || request.subject === undefined) {
    return `no rule covers ${request.operation} of ${pathOf(request)}`;
  }
  return 'no workflow pod: not in a workflow namespace, and without the workflow labels';
}

/** A whole AdmissionReview as it is; any other object as the CREATE that would make it. Undefined for kinds that no rule covers. */
function toRequest(value: unknown, options: JudgeOptions): AdmissionRequest | undefined {
  const object = readObject(value, 'the document');
  const kind = readString(field(object, 'kind'), 'kind') ?? '';
  const apiVersion = readString(field(object, 'apiVersion'), 'apiVersion') ?? '';
  if (kind === 'AdmissionReview') return readReview(value);
  const resource = resourceOf(apiVersion, kind);
  if (resource === undefined) return undefined;
  const metadata = readObject(field(object, 'metadata'), 'metadata');
  const namespaced = kind !== 'Node';
  return readRequest({
    uid: 'review',
    kind: { group: resource.group, version: 'v1', kind },
    resource: { ...resource, version: 'v1' },
    operation: 'CREATE',
    name: readString(field(metadata, 'name'), 'metadata.name') ?? '',
    namespace: namespaced ? (readString(field(metadata, 'namespace'), 'metadata.namespace') ?? options.namespace) : '',
    userInfo: options.requester,
    dryRun: true,
    object: value,
  });
}

/** The request that validation would get: the same with the patched object. */
function readAgain(request: AdmissionRequest, object: unknown): AdmissionRequest {
  const { resource, kind, requester } = request;
  return readRequest({
    ...request,
    kind: { group: resource.group, version: resource.version, kind },
    userInfo: requester,
    object,
    oldObject: request.oldObject,
  });
}

function notJudged(manifest: ManifestObject, fallback: string, why: string): NotJudged {
  const value = isObject(manifest.value) ? manifest.value : {};
  const metadata = isObject(value.metadata) ? value.metadata : {};
  const text = (entry: unknown): string => (typeof entry === 'string' ? entry : '');
  return {
    outcome: 'not judged',
    source: manifest.source,
    kind: text(value.kind),
    namespace: text(metadata.namespace) || fallback,
    name: text(metadata.name),
    why,
  };
}
