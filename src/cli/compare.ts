import { readLiveInstallation } from '../cluster/live-installation.ts';
import { findGaps } from '../manifests/gaps.ts';
import { productName } from '../manifests/objects.ts';
import type { LiveInstallation } from '../policy/model/live-configuration.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import { rules } from '../policy/rules/index.ts';
import { settledNamespaces } from '../policy/settled-namespaces.ts';
import { type CliIo, exitCodes } from './io.ts';
import { withCluster } from './with-cluster.ts';

/** How long the cluster may take to answer, in milliseconds. */
const patienceMs = 15_000;

export interface Comparison {
  readonly policy: CompiledPolicy;
  /** Where the webhook is installed. */
  readonly namespace: string;
  readonly kubeconfig: string;
}

/** What could not be read outweighs a gap: the answer is not complete. */
function isUnknown({ configurations, labelled }: LiveInstallation): boolean {
  return labelled.state === 'unknown' || configurations.values().some(({ state }) => state === 'unknown');
}

/** Compares a policy with the webhook configurations of a cluster. @throws AccessError for a kubeconfig that cannot be used. */
export async function compareWithCluster({ policy, namespace, kubeconfig }: Comparison, io: CliIo): Promise<number> {
  const live = await withCluster(kubeconfig, (client) =>
    readLiveInstallation(client, {
      name: productName,
      labels: policy.workflowLabels,
      exceptNamespaces: settledNamespaces(policy, io.now()),
      signal: AbortSignal.timeout(patienceMs),
    }),
  );
  const gaps = findGaps({ rules, policy, namespace, live });
  for (const { where, message } of gaps) io.stdout(`gap: ${where} ${message}\n`);
  if (isUnknown(live)) return exitCodes.failed;
  if (gaps.length > 0) return exitCodes.denied;
  io.stdout('the cluster sends the webhook everything that the policy covers\n');
  return exitCodes.ok;
}
