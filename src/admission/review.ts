import { field, isObject, ShapeError, typeName } from '../policy/model/read.ts';
import { readRequest, readRequestHead } from '../policy/model/read-request.ts';
import type { AdmissionRequest } from '../policy/model/request.ts';
import { beforeObject, excessOf } from './json-bounds.ts';

export const reviewApiVersion = 'admission.k8s.io/v1';

/**
 * Parses the body of a review; of one that is more than is parsed, what stands before its object.
 * @throws ShapeError for everything that is no AdmissionReview v1 we can judge: no JSON, another version, a wrong shape.
 */
export function parseReview(body: Uint8Array): AdmissionRequest {
  const excess = excessOf(body);
  if (excess === undefined) return readReview(parseJson(body));
  const head = beforeObject(body);
  if (head === undefined) throw new ShapeError('', excess);
  return readRequestHead(requestOf(parseJson(Buffer.concat([head, Buffer.from('"":0}}')]))), excess);
}

/** Reads an AdmissionReview that is parsed already (the CLI takes them as YAML). */
export function readReview(review: unknown): AdmissionRequest {
  return readRequest(requestOf(review));
}

function requestOf(review: unknown): unknown {
  if (!isObject(review)) throw new ShapeError('', `must be an AdmissionReview object, not ${typeName(review)}`);
  const kind = field(review, 'kind');
  const apiVersion = field(review, 'apiVersion');
  if (kind !== 'AdmissionReview') {
    throw new ShapeError('kind', `is ${JSON.stringify(kind)?.slice(0, 64) ?? 'missing'}, must be AdmissionReview`);
  }
  if (apiVersion !== reviewApiVersion) {
    throw new ShapeError(
      'apiVersion',
      `is ${JSON.stringify(apiVersion)?.slice(0, 64) ?? 'missing'}, must be ${reviewApiVersion}: set admissionReviewVersions: [v1] in the webhook configuration`,
    );
  }
  const request = field(review, 'request');
  if (request === undefined || request === null) throw new ShapeError('request', 'is missing');
  return request;
}

const decoder = new TextDecoder('utf-8', { fatal: true });

function parseJson(body: Uint8Array): unknown {
  if (body.length === 0) throw new ShapeError('', 'is empty, must be an AdmissionReview');
  let text: string;
  try {
    text = decoder.decode(body);
  } catch {
    throw new ShapeError('', 'is not UTF-8');
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    // V8's message may quote the document: a review can hold what must not be logged, so only the kind of fault is kept.
    const truncated = error instanceof SyntaxError && /end of JSON/.test(error.message);
    throw new ShapeError('', truncated ? 'is JSON that ends too early' : 'is not JSON');
  }
}
