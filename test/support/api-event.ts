import { recordHash } from './record-hash.ts';

// biome-ignore lint/suspicious/noExplicitAny: an event as JSON.
type Json = any;

/** What the API server answers where a webhook that it may not pass over does not. */
export const failedCalling = (webhook: string): string =>
  `Internal error occurred: failed calling webhook "${webhook}": failed to call webhook: Post "https://osmo-admission-webhook.osmo-admission.svc:443/validate?timeout=10s": EOF`;

/** The API server's event of a request whose call of a webhook failed: passed over, or answered with HTTP 500. */
export function failedEventOf(line: string, how: 'open' | 'refused', over: object = {}): Json {
  const webhook = `pods.${JSON.parse(line).phase}.osmo-admission`;
  const kind = JSON.parse(line).phase === 'mutate' ? 'mutation' : 'validating';
  return apiEventOf(line, {
    annotations: how === 'open' ? { [`failed-open.${kind}.webhook.admission.k8s.io/round_0_index_0`]: webhook } : {},
    responseStatus: how === 'open' ? { code: 201 } : { code: 500, message: failedCalling(webhook) },
    ...over,
  });
}

/** The API server's event, at level Metadata, of the request that a line of ours is the record of. */
export function apiEventOf(line: string, over: object = {}): Json {
  const { time, user, verb, objectRef, phase } = JSON.parse(line);
  return {
    ...{
      kind: 'Event',
      apiVersion: 'audit.k8s.io/v1',
      level: 'Metadata',
      stage: 'ResponseComplete',
      auditID: objectRef.name,
    },
    ...{ verb, user, objectRef, responseStatus: { code: 201 }, requestReceivedTimestamp: time, stageTimestamp: time },
    annotations: { [`pods.${phase}.osmo-admission/record-hash`]: recordHash(line) },
    ...over,
  };
}
