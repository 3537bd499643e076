import { field, isObject, readObject, readString, ShapeError } from '../policy/model/read.ts';
import { readNode } from '../policy/model/read-node.ts';
import { readPod } from '../policy/model/read-pod.ts';
import type { StandingCluster, StandingPod } from '../policy/standing.ts';
import type { ApiClient } from './api-client.ts';
import { listAll } from './list-all.ts';

export interface ClusterQuery {
  /** Namespaces all of whose pods are wanted. */
  readonly namespaces: readonly string[];
  /** Keys that a pod elsewhere must all bear to be wanted; none = no pod elsewhere is. */
  readonly labels: readonly string[];
  readonly signal: AbortSignal;
}

/** Nodes and live workflow pods of a cluster, read once. @throws ApiError where a list is not to be had. */
export async function readCluster(
  client: ApiClient,
  { namespaces, labels, signal }: ClusterQuery,
): Promise<StandingCluster> {
  const unread: string[] = [];
  const read = <T>(kind: string, item: unknown, reader: (item: unknown) => T): T[] => {
    try {
      return [reader(item)];
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error;
      unread.push(`${kind}/${nameOf(item)}: ${error.message}`);
      return [];
    }
  };
  const nodes = (await listAll(client, '/api/v1/nodes', {}, signal)).items.flatMap((item) =>
    read('Node', item, (value) => readNode(value, 'Node')),
  );
  // Those that have ended hold no node any more.
  const live = 'status.phase!=Succeeded,status.phase!=Failed';
  const lists = namespaces.map((name) =>
    listAll(client, `/api/v1/namespaces/${encodeURIComponent(name)}/pods`, { fieldSelector: live }, signal),
  );
  if (labels.length > 0) {
    const elsewhere = namespaces.map((name) => `metadata.namespace!=${name}`);
    lists.push(
      listAll(
        client,
        '/api/v1/pods',
        { fieldSelector: [live, ...elsewhere].join(','), labelSelector: labels.join(',') },
        signal,
      ),
    );
  }
  const pods = (await Promise.all(lists)).flatMap(({ items }) =>
    items.flatMap((item) => read('Pod', item, readStandingPod)),
  );
  return { nodes, pods, unread };
}

function readStandingPod(value: unknown): StandingPod {
  const pod = readObject(value, 'Pod');
  const metadata = readObject(field(pod, 'metadata'), 'Pod.metadata');
  const status = readObject(field(pod, 'status'), 'Pod.status');
  return {
    pod: readPod(pod, 'Pod', readString(field(metadata, 'namespace'), 'Pod.metadata.namespace') ?? ''),
    phase: readString(field(status, 'phase'), 'Pod.status.phase') ?? '',
  };
}

function nameOf(item: unknown): string {
  const metadata = isObject(item) ? field(item, 'metadata') : undefined;
  const name = isObject(metadata) ? field(metadata, 'name') : undefined;
  return typeof name === 'string' ? name : '(no name)';
}
