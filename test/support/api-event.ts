import { createHash } from 'node:crypto';

// biome-ignore lint/suspicious/noExplicitAny: an event as JSON.
type Json = any;

/** The API server's event, at level Metadata, of the request that a line of ours is the record of. */
export function apiEventOf(line: string, over: object = {}): Json {
  const { time, user, verb, objectRef, phase } = JSON.parse(line);
  const hash = createHash('sha256').update(line).digest('hex');
  return {
    ...{
      kind: 'Event',
      apiVersion: 'audit.k8s.io/v1',
      level: 'Metadata',
      stage: 'ResponseComplete',
      auditID: objectRef.name,
    },
    ...{ verb, user, objectRef, responseStatus: { code: 201 }, requestReceivedTimestamp: time, stageTimestamp: time },
    annotations: { [`pods.${phase}.osmo-admission/record-hash`]: hash },
    ...over,
  };
}
