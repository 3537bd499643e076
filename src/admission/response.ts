import type { Evaluation } from '../policy/evaluate.ts';
import type { PatchOperation } from '../policy/model/edit.ts';
import type { Answer } from '../policy/model/handler.ts';
import type { AdmissionRequest } from '../policy/model/request.ts';
import { reviewApiVersion } from './review.ts';
import { buildStatus } from './status.ts';

/** `response` of an AdmissionReview v1. */
export interface AdmissionResponse {
  readonly uid: string;
  readonly allowed: boolean;
  readonly status?: { readonly code: number; readonly reason: string; readonly message: string };
  /** Base64 of a JSON Patch; only with `patchType`. */
  readonly patch?: string;
  readonly patchType?: 'JSONPatch';
  readonly warnings?: readonly string[];
  readonly auditAnnotations: Readonly<Record<string, string>>;
}

/** Builds the response. Keys of audit annotations hold no slash and no space: the API server drops such keys. */
export function buildResponse(
  request: AdmissionRequest,
  evaluation: Evaluation,
  patch: readonly PatchOperation[],
  digest: string,
): AdmissionResponse {
  const { denial, warnings, rules } = evaluation;
  return {
    uid: request.uid,
    allowed: denial === undefined,
    ...(denial !== undefined && { status: denial }),
    ...(patch.length > 0 && {
      patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
      patchType: 'JSONPatch' as const,
    }),
    ...(warnings.length > 0 && { warnings }),
    auditAnnotations: {
      decision: denial === undefined ? 'allow' : 'deny',
      rules: rules.join(','),
      'policy-digest': digest,
    },
  };
}

/** @param recordHash names the audit record: the review's uid stands nowhere in the API server's own audit log. */
export function reviewAnswer(response: AdmissionResponse, recordHash: string): Answer {
  const auditAnnotations = { ...response.auditAnnotations, 'record-hash': recordHash };
  const body = JSON.stringify({
    apiVersion: reviewApiVersion,
    kind: 'AdmissionReview',
    response: { ...response, auditAnnotations },
  });
  return { status: 200, contentType: 'application/json', body };
}

/** A request that is not judged. */
export function statusAnswer(status: number, message: string): Answer {
  return { status, contentType: 'application/json', body: buildStatus(status, message) };
}
