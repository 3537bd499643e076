import type { ApiAccess } from '../cluster/access.ts';
import { type ApiClient, ApiError } from '../cluster/api-client.ts';
import { listAll } from '../cluster/list-all.ts';
import { markLabel, verifiedAnnotation } from '../policy/model/node.ts';
import { readNode } from '../policy/model/read-node.ts';
import { marksOf, sameMarks, unmarked } from '../policy/quarantine.ts';
import { type CliIo, UsageError } from './io.ts';
import { withAccess } from './with-cluster.ts';

export interface Traces {
  readonly access: ApiAccess;
  /** Name of the webhook configurations. */
  readonly configurations: string;
  readonly namespace: string;
  /** The Lease that stands for marks. */
  readonly lease: string;
  /** What else goes from the namespace, last. */
  readonly others: readonly NamespacedTrace[];
}

export interface NamespacedTrace {
  readonly api: '/api/v1' | '/apis/coordination.k8s.io/v1';
  readonly resource: string;
  readonly name: string;
}

const patienceMs = 120_000;

/** Takes away webhook configurations, marks and Lease, and the rest, in that order. @throws UsageError with what the API server said. */
export async function removeTraces(
  { access, configurations, namespace, lease, others }: Traces,
  io: CliIo,
): Promise<void> {
  const signal = AbortSignal.timeout(patienceMs);
  try {
    await withAccess(access, async (client) => {
      for (const resource of ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations']) {
        const path = `/apis/admissionregistration.k8s.io/v1/${resource}/${configurations}`;
        if (await remove(client, path, signal)) io.stdout(`deleted ${resource}/${configurations}\n`);
      }
      // A server that still runs may have been in the middle of a look when its configurations went.
      while (await removeMarks(client, namespace, lease, signal, io)) {
        await new Promise((resolve) => setTimeout(resolve, lookMs));
      }
      for (const { api, resource, name } of others) {
        if (await remove(client, `${api}/namespaces/${namespace}/${resource}/${name}`, signal)) {
          io.stdout(`deleted ${resource}/${name}\n`);
        }
      }
    });
  } catch (error) {
    throw new UsageError(
      `not everything is gone: ${error instanceof Error ? error.message : String(error)}; run it again`,
    );
  }
}

/** A little longer than the server's reconciler takes from one look to the next. */
const lookMs = 6_000;

/** One pass over nodes and Lease. @returns whether there was something, so that another pass is due. */
async function removeMarks(
  client: ApiClient,
  namespace: string,
  lease: string,
  signal: AbortSignal,
  io: CliIo,
): Promise<boolean> {
  let found = false;
  const { items } = await listAll(client, '/api/v1/nodes', {}, signal);
  for (const node of items.map((item) => readNode(item, 'Node'))) {
    if (sameMarks(marksOf(node), unmarked)) continue;
    const metadata = { labels: { [markLabel]: null }, annotations: { [verifiedAnnotation]: null } };
    const path = `/api/v1/nodes/${encodeURIComponent(node.name)}`;
    await client.send('PATCH', path, { metadata }, signal, 'application/merge-patch+json');
    io.stdout(`node/${node.name}: mark and annotation taken away\n`);
    found = true;
  }
  const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${lease}`;
  if (await remove(client, path, signal)) {
    io.stdout(`deleted lease/${lease}\n`);
    found = true;
  }
  return found;
}

/** @returns false where there was nothing. */
async function remove(client: ApiClient, path: string, signal: AbortSignal): Promise<boolean> {
  try {
    await client.send('DELETE', path, {}, signal);
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return false;
    throw error;
  }
}
