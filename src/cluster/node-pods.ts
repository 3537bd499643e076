import type { CompiledPolicy } from '../policy/model/policy.ts';
import { field, readObject, readString, readStringMap } from '../policy/model/read.ts';
import { isWorkflowPod } from '../policy/workflow-pod.ts';
import type { ApiClient } from './api-client.ts';
import { listAll, metadataOnly } from './list-all.ts';

/** Workflow pods that are bound to a node and have not ended, as `namespace/name`, sorted. Reads their metadata alone. @throws ApiError */
export async function workflowPodsOn(
  client: ApiClient,
  node: string,
  policy: CompiledPolicy,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const fieldSelector = `spec.nodeName=${node},status.phase!=Succeeded,status.phase!=Failed`;
  const { items } = await listAll(client, '/api/v1/pods', { fieldSelector }, signal, metadataOnly);
  return items
    .flatMap((item, i) => {
      const path = `PodList.items[${i}].metadata`;
      const metadata = readObject(field(readObject(item, `PodList.items[${i}]`), 'metadata'), path);
      const namespace = readString(field(metadata, 'namespace'), `${path}.namespace`) ?? '';
      const labels = readStringMap(field(metadata, 'labels'), `${path}.labels`);
      const name = readString(field(metadata, 'name'), `${path}.name`) ?? '';
      return isWorkflowPod({ namespace, labels }, policy) ? [`${namespace}/${name}`] : [];
    })
    .sort();
}
