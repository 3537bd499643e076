import { readRequest } from '../../src/policy/model/read-request.ts';
import type { AdmissionRequest } from '../../src/policy/model/request.ts';

/** The request by which alice creates a pod in a workflow namespace, as it is parsed. */
export function podCreation(object: unknown): AdmissionRequest {
  return readRequest({
    uid: 'u',
    operation: 'CREATE',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    resource: { group: '', version: 'v1', resource: 'pods' },
    namespace: 'osmo-workflows',
    userInfo: { username: 'alice' },
    object,
  });
}
