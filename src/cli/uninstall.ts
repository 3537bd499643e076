import {
  caSecretName,
  certificatesLeaseName,
  defaultNamespace,
  policyConfigMapName,
  productName,
  quarantineLeaseName,
  tlsSecretName,
} from '../manifests/objects.ts';
import { describeFlags, type Flags, helpFlag, parseFlags } from './flags.ts';
import { installedFlag } from './installed-flag.ts';
import { type CliIo, exitCodes, UsageError } from './io.ts';

const flags: Flags = {
  kubeconfig: {
    type: 'string',
    value: 'FILE',
    help: 'The cluster.',
    default: 'the one that this runs in',
    env: 'KUBECONFIG',
  },
  namespace: installedFlag,
  'unless-installed': {
    type: 'boolean',
    help: 'Touch nothing while the ConfigMap of the policy is there: for the Job of "helm uninstall", which comes after it has gone.',
  },
  help: helpFlag,
};

export const uninstallHelp = `Takes away what the webhook leaves on a cluster beside what is installed: run it before you delete the installation.

Usage:
  osmo-admission uninstall [--kubeconfig FILE] [-n NAMESPACE] [--unless-installed]

First the webhook configurations, since otherwise the marks would come back; then the label ${'osmo-admission/quarantined'} and the annotation
osmo-admission/verified of every node; then the Leases, and the Secrets that the server made under --tls-self-signed or cert-manager
for our Certificates. What is gone already is passed over, so that it can be run again.

Flags:
${describeFlags(flags)}

Exit codes:
  0  nothing is left
  2  something could not be taken away, or called wrongly
`;

/** `osmo-admission uninstall`. */
export async function uninstall(args: readonly string[], io: CliIo): Promise<number> {
  const parsed = parseFlags(args, flags, io.env);
  if (parsed.boolean('help')) {
    io.stdout(uninstallHelp);
    return exitCodes.ok;
  }
  const kubeconfig = parsed.string('kubeconfig');
  if (kubeconfig === undefined && (io.env.KUBERNETES_SERVICE_HOST ?? '') === '') {
    throw new UsageError('give the cluster: --kubeconfig FILE');
  }
  // Loaded here, so that the other commands start without a client's libraries.
  const [{ removeTraces }, access] = await Promise.all([import('./remove-traces.ts'), import('../cluster/access.ts')]);
  const namespace = parsed.string('namespace') ?? defaultNamespace;
  await removeTraces(
    {
      access:
        kubeconfig === undefined
          ? await access.loadInClusterAccess(io.env)
          : await access.loadKubeconfigAccess(kubeconfig),
      configurations: productName,
      namespace,
      ...(parsed.boolean('unless-installed') && {
        unless: `/api/v1/namespaces/${namespace}/configmaps/${policyConfigMapName}`,
      }),
      leases: [quarantineLeaseName, certificatesLeaseName],
      secrets: [
        { name: tlsSecretName, certificate: productName },
        { name: caSecretName, certificate: caSecretName },
      ],
    },
    io,
  );
  return exitCodes.ok;
}
