import { AccessError } from '../cluster/access.ts';
import { readCluster } from '../cluster/read-cluster.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import type { StandingCluster } from '../policy/standing.ts';
import { UsageError } from './io.ts';
import { withCluster } from './with-cluster.ts';

/** How long the cluster may take to answer, in milliseconds. */
const patienceMs = 60_000;

/** Reads a cluster by a kubeconfig. @throws AccessError or UsageError with what the API server said. */
export async function loadStandingCluster(kubeconfig: string, policy: CompiledPolicy): Promise<StandingCluster> {
  try {
    return await withCluster(kubeconfig, (client) =>
      readCluster(client, {
        namespaces: [...policy.workflowNamespaces],
        labels: policy.workflowLabels,
        signal: AbortSignal.timeout(patienceMs),
      }),
    );
  } catch (error) {
    if (error instanceof AccessError) throw error;
    throw new UsageError(
      `the cluster of ${kubeconfig} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
