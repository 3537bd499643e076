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

/** The Lease that the quarantine's reconciler holds. Made and deleted by the server, in no manifest: its age says since when quarantine is on. */
export const quarantineLeaseName = `${productName}-quarantine`;

/** The Lease of the replica that makes certificates where the server signs its own; in no manifest either. */
export const certificateLeaseName = `${productName}-certificates`;

/** Where the API server keeps Events of objects without a namespace, such as nodes. */
export const eventNamespace = 'default';

/** The Secrets with the authority and with the serving certificate, whether cert-manager keeps them or the server. */
export const caSecretName = `${productName}-ca`;
export const tlsSecretName = `${productName}-tls`;

/** Port of the Service, which the API server calls, and the server's own. */
export const servicePort = 443;
export const admissionPort = 8443;
export const healthPort = 8080;

export const labels = { 'app.kubernetes.io/name': productName } as const;

export function metadata(name: string, namespace?: string): Readonly<Record<string, unknown>> {
  return { name, ...(namespace !== undefined && { namespace }), labels };
}
