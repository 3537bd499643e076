import { dirname } from 'node:path';
import { clusterNodes } from '../support/fixtures.ts';
import { findBinaries, wantedKubernetes } from './binaries.ts';
import { kwokAnnotation } from './control-plane.ts';
import { install, policyFileName, startCluster } from './installation.ts';
import { eventually } from './wait.ts';

/*
 * `npm run cluster`: a control plane on this machine with the webhook installed and one node or two of each type, until Ctrl-C. No containers
 * run: kwok says of each node that it is Ready and of each pod that it runs.
 */

const say = (text: string): void => void process.stdout.write(`${text}\n`);

const binaries = await findBinaries(process.env, say);
const plane = await startCluster(binaries);
// Whatever ends this process ends the cluster, too; these make it end in order.
const ended = new Promise<void>((resolve) => {
  // Nothing else holds a process that only waits for a signal.
  const hold = setInterval(() => undefined, 60_000);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      clearInterval(hold);
      resolve();
    });
  }
});

try {
  const webhook = await install(plane, { policy: 'apiVersion: osmo-admission/v1alpha1\nkind: AdmissionPolicy\n' });
  await plane.apply(
    ['create', '-f', '-'],
    clusterNodes().map((node) => ({
      ...{ apiVersion: 'v1', kind: 'Node', ...node },
      metadata: { ...Object(node.metadata), annotations: kwokAnnotation },
    })),
  );
  await eventually('the nodes are Ready', async () => {
    const nodes = await plane.api.list('/api/v1/nodes');
    return nodes.every((node) => !JSON.stringify(node).includes('node.kubernetes.io/not-ready'));
  });
  say(`Kubernetes ${wantedKubernetes(process.env).version} runs on this machine, with the webhook installed and a node or two of each type.

  export KUBECONFIG=${plane.kubeconfig()}
  export PATH=${dirname(binaries.kubectl)}:$PATH

The policy file       ${plane.folder}/${policyFileName}   (a change is in force within a second)
The audit log         ${plane.folder}/audit.log
The webhook's own log ${plane.processes.logFile('webhook')}
Its health            ${webhook.health()}/readyz, /metrics

docs/try-it.md says what to try. Ctrl-C ends the cluster and leaves nothing behind.`);
  await ended;
} finally {
  await plane.close();
}
