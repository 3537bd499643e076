import { isDns1123Label, isDns1123Subdomain } from '../policy/kube/names.ts';
import { readLivePod } from '../policy/model/read-pod.ts';
import type { PodSource } from '../policy/model/snapshot.ts';
import { type ApiClient, ApiError } from './api-client.ts';

/** One object's metadata alone, in the API server's own shortened form. */
export const metadataOnly = 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io';

/** Asks the API server for single pods. A GET is answered from etcd's quorum, so a pod that was just made is found. */
export function createPodSource(client: ApiClient): PodSource {
  return {
    async lookUp(namespace, name, signal) {
      // No pod can have such a name, and `..` in a path would ask for something else.
      if (!isDns1123Label(namespace) || !isDns1123Subdomain(name)) return { state: 'absent' };
      try {
        const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;
        return { state: 'found', pod: readLivePod(await client.get(path, {}, signal, metadataOnly), 'Pod') };
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return { state: 'absent' };
        return { state: 'unknown', why: lookUpError(error, signal) };
      }
    },
  };
}

/** Why a look-up failed, for people. */
export function lookUpError(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return 'the API server did not answer in time';
  return error instanceof Error ? error.message : String(error);
}
