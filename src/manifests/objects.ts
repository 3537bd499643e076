/** A Kubernetes object as it is written to YAML. */
export type KubeObject = Readonly<Record<string, unknown>>;

/** What an installation is called and made of. */
export interface Installation {
  readonly namespace: string;
  readonly image: string;
  readonly replicas: number;
}

/** The name of every object that there is one of: Service, Deployment, ServiceAccount, Certificate, configurations. */
export const productName = 'osmo-admission-webhook';

/** Where the webhook is installed unless something else is said. */
export const defaultNamespace = 'osmo-admission';

/** The ConfigMap that has the policy file. */
export const policyConfigMapName = `${productName}-policy`;

/** The Lease that the quarantine's reconciler holds. Made and deleted by the server, in no manifest: its age says since when quarantine is on. */
export const quarantineLeaseName = `${productName}-quarantine`;

/** Where the API server keeps Events of objects without a namespace, such as nodes. */
export const eventNamespace = 'default';

/** The Lease of the replica that makes and renews certificates under `--tls-self-signed`. */
export const certificatesLeaseName = `${productName}-certificates`;

/** The Secret in which cert-manager, or the server itself under `--tls-self-signed`, keeps the serving certificate. */
export const tlsSecretName = `${productName}-tls`;

/** The Secret of the CA that signs it, whoever keeps that. */
export const caSecretName = `${productName}-ca`;

/** Label of the Secrets that the server made or wrote; `uninstall` takes no others away. */
export const ownSecretLabel = { 'app.kubernetes.io/managed-by': productName } as const;

/** By what name the API server calls the Service. */
export function serviceHosts(namespace: string): readonly string[] {
  return [`${productName}.${namespace}.svc`, `${productName}.${namespace}.svc.cluster.local`];
}

/** Port of the Service, which the API server calls, and the server's own. */
export const servicePort = 443;
export const admissionPort = 8443;
export const healthPort = 8080;

export const labels = { 'app.kubernetes.io/name': productName } as const;

export function metadata(name: string, namespace?: string): Readonly<Record<string, unknown>> {
  return { name, ...(namespace !== undefined && { namespace }), labels };
}
