import { loadKubeconfigAccess } from '../cluster/access.ts';
import { createApiClient } from '../cluster/api-client.ts';
import { defaultIdleTimeoutMs } from '../cluster/node-watch.ts';
import { readCluster } from '../cluster/read-cluster.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import type { StandingCluster } from './cluster-review.ts';
import { UsageError } from './io.ts';

/** How long the cluster may take to answer, in milliseconds. */
const patienceMs = 60_000;

/** Reads a cluster by a kubeconfig. @throws AccessError or UsageError with what the API server said. */
export async function loadStandingCluster(kubeconfig: string, policy: CompiledPolicy): Promise<StandingCluster> {
  const client = createApiClient(await loadKubeconfigAccess(kubeconfig), { idleTimeoutMs: defaultIdleTimeoutMs });
  try {
    return await readCluster(client, {
      namespaces: [...policy.workflowNamespaces],
      labels: policy.workflowLabels,
      signal: AbortSignal.timeout(patienceMs),
    });
  } catch (error) {
    throw new UsageError(
      `the cluster of ${kubeconfig} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  } finally {
    await client.close();
  }
}
