import type { Features } from './features.ts';
import {
  admissionPort,
  healthPort,
  type Installation,
  type KubeObject,
  labels,
  metadata,
  policyConfigMapName,
  productName,
  servicePort,
  tlsSecretName,
} from './objects.ts';
import { buildRbac } from './rbac.ts';

const policyDirectory = '/etc/osmo-admission';
const tlsDirectory = '/etc/osmo-admission-tls';

/*
 * How the server runs: the chart's values begin with these, too.
 */

/** A drain of nodes takes one replica at a time; of a single one, too. */
export const disruption = { maxUnavailable: 1 };

/** An outage under failurePolicy Fail ends workflows. */
export const priorityClassName = 'system-cluster-critical';

/** The drain's delay (10 s) and timeout (30 s), and some time to end. */
export const terminationGracePeriodSeconds = 45;

/** An idle server takes 95 MiB with a few nodes and 130 MiB with 5,000; the largest reviews at once, and the worst bodies, some 460 (test/serve-memory.test.ts). */
export const resources = { requests: { cpu: '100m', memory: '160Mi' }, limits: { memory: '512Mi' } };

/** Pod Security "restricted". No runAsUser: the image has one, and OpenShift gives one of its own. */
export const podSecurityContext = { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } };

export const securityContext = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
};

/** Operator nodes of the default policy, and control planes, so that a cluster that has nothing else yet can run it. */
export const tolerations = [
  { key: 'ops', operator: 'Exists' },
  { key: 'node-type', operator: 'Equal', value: 'operator' },
  { key: 'node-role.kubernetes.io/control-plane', operator: 'Exists' },
];

/** Wishes, no more: a single node and a cluster without labels can run it. */
export const affinity = {
  nodeAffinity: {
    preferredDuringSchedulingIgnoredDuringExecution: [
      {
        weight: 50,
        preference: { matchExpressions: [{ key: 'node-type', operator: 'In', values: ['operator'] }] },
      },
    ],
  },
  podAntiAffinity: {
    preferredDuringSchedulingIgnoredDuringExecution: [
      {
        weight: 100,
        podAffinityTerm: { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: labels } },
      },
    ],
  },
};

export const topologySpreadConstraints = [
  {
    maxSkew: 1,
    topologyKey: 'topology.kubernetes.io/zone',
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels: labels },
  },
];

/** Namespace, ServiceAccount, RBAC, policy file, Service, Deployment and what guards it. @param policyText the policy file. */
export function buildWorkload(
  installation: Installation,
  features: Features,
  policyText: string,
): readonly KubeObject[] {
  const { namespace } = installation;
  return [
    buildNamespace(namespace),
    {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: metadata(productName, namespace),
      automountServiceAccountToken: false,
    },
    ...buildRbac(features, namespace),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: metadata(policyConfigMapName, namespace),
      data: { 'policy.yaml': policyText },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: metadata(productName, namespace),
      spec: { selector: labels, ports: [{ name: 'https', port: servicePort, targetPort: 'https' }] },
    },
    buildDeployment(installation),
    {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: metadata(productName, namespace),
      spec: { ...disruption, selector: { matchLabels: labels } },
    },
    buildNetworkPolicy(namespace),
  ];
}

/** Pod Security "restricted": what the server needs is less. */
function buildNamespace(name: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { ...labels, 'pod-security.kubernetes.io/enforce': 'restricted' } },
  };
}

function buildDeployment({ namespace, image, replicas }: Installation): KubeObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadata(productName, namespace),
    spec: {
      replicas,
      selector: { matchLabels: labels },
      // One replica more before one less: an outage under failurePolicy Fail ends workflows.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: {
        metadata: { labels },
        spec: {
          serviceAccountName: productName,
          automountServiceAccountToken: true,
          priorityClassName,
          terminationGracePeriodSeconds,
          securityContext: podSecurityContext,
          affinity,
          topologySpreadConstraints,
          tolerations,
          containers: [buildContainer(image)],
          volumes: [
            { name: 'policy', configMap: { name: policyConfigMapName } },
            { name: 'tls', secret: { secretName: tlsSecretName } },
          ],
        },
      },
    },
  };
}

function buildContainer(image: string): KubeObject {
  return {
    name: 'webhook',
    image,
    args: [
      'serve',
      `--config=${policyDirectory}/policy.yaml`,
      `--tls-cert-file=${tlsDirectory}/tls.crt`,
      `--tls-private-key-file=${tlsDirectory}/tls.key`,
      `--port=${admissionPort}`,
      `--health-port=${healthPort}`,
    ],
    env: [
      { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
      { name: 'POD_SERVICE_ACCOUNT', valueFrom: { fieldRef: { fieldPath: 'spec.serviceAccountName' } } },
    ],
    ports: [
      { name: 'https', containerPort: admissionPort },
      { name: 'health', containerPort: healthPort },
    ],
    readinessProbe: { httpGet: { path: '/readyz', port: 'health' }, periodSeconds: 5 },
    livenessProbe: { httpGet: { path: '/healthz', port: 'health' }, periodSeconds: 10, failureThreshold: 3 },
    resources,
    securityContext,
    volumeMounts: [
      { name: 'policy', mountPath: policyDirectory, readOnly: true },
      { name: 'tls', mountPath: tlsDirectory, readOnly: true },
    ],
  };
}

/**
 * Closes every other port. The API server is no pod, and its addresses are not known here, so the port that it calls is open to all; so is the
 * one for kubelets and Prometheus.
 */
function buildNetworkPolicy(namespace: string): KubeObject {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: metadata(productName, namespace),
    spec: {
      podSelector: { matchLabels: labels },
      policyTypes: ['Ingress'],
      ingress: ['https', 'health'].map((port) => ({ ports: [{ port, protocol: 'TCP' }] })),
    },
  };
}
