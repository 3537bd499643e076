import {
  admissionPort,
  eventNamespace,
  healthPort,
  type Installation,
  type KubeObject,
  labels,
  metadata,
  productName,
  quarantineLeaseName,
  servicePort,
  tlsSecretName,
} from './objects.ts';

const configMapName = `${productName}-policy`;

/** A role of its own: a cluster that keeps it back loses one look, see `--no-pod-search`. */
const podSearchName = `${productName}-pod-search`;

/** In another namespace than the rest, unless that is where the webhook runs: hence a name of its own. */
const eventsName = `${productName}-events`;

const policyDirectory = '/etc/osmo-admission';
const tlsDirectory = '/etc/osmo-admission-tls';

/** Namespace, ServiceAccount, RBAC, policy file, Deployment and Service. @param policyText the policy file. */
export function buildWorkload(installation: Installation, policyText: string): readonly KubeObject[] {
  const { namespace } = installation;
  return [
    buildNamespace(namespace),
    {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: metadata(productName, namespace),
      automountServiceAccountToken: false,
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: metadata(productName),
      rules: [
        // list and watch for the index, get for the look-up of a node that it lacks, patch for its mark and annotation.
        { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list', 'watch', 'patch'] },
        // The pod of a Binding to an operator node, by name and its metadata only: a Binding shows neither its labels nor its exemption.
        { apiGroups: [''], resources: ['pods'], verbs: ['get'] },
        // Whether the API server sends what the policy covers.
        {
          apiGroups: ['admissionregistration.k8s.io'],
          resources: ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'],
          resourceNames: [productName],
          verbs: ['get'],
        },
      ],
    },
    bind(productName, namespace),
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: metadata(productName, namespace),
      rules: [
        // RBAC knows no name at creation.
        { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
        {
          apiGroups: ['coordination.k8s.io'],
          resources: ['leases'],
          resourceNames: [quarantineLeaseName],
          verbs: ['get', 'update', 'delete'],
        },
      ],
    },
    bindIn(namespace, productName, namespace),
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: metadata(eventsName, eventNamespace),
      // What a node is reported for stands on the node, and Events of nodes stand here.
      rules: [{ apiGroups: [''], resources: ['events'], verbs: ['create'] }],
    },
    bindIn(eventNamespace, eventsName, namespace),
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: metadata(podSearchName),
      // One pod at a time and its metadata only is asked for; the right is to more. Without it give --no-pod-search.
      rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }],
    },
    bind(podSearchName, namespace),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: metadata(configMapName, namespace),
      data: { 'policy.yaml': policyText },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: metadata(productName, namespace),
      spec: { selector: labels, ports: [{ name: 'https', port: servicePort, targetPort: 'https' }] },
    },
    buildDeployment(installation),
  ];
}

/** Gives the service account a ClusterRole. */
function bind(role: string, namespace: string): KubeObject {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: metadata(role),
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    subjects: [{ kind: 'ServiceAccount', name: productName, namespace }],
  };
}

/** Gives the service account a Role in one namespace. */
function bindIn(where: string, role: string, namespace: string): KubeObject {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: metadata(role, where),
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: role },
    subjects: [{ kind: 'ServiceAccount', name: productName, namespace }],
  };
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
          priorityClassName: 'system-cluster-critical',
          // The drain's delay and timeout, and some time to end.
          terminationGracePeriodSeconds: 45,
          securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
          affinity: {
            podAntiAffinity: {
              preferredDuringSchedulingIgnoredDuringExecution: [
                {
                  weight: 100,
                  podAffinityTerm: { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: labels } },
                },
              ],
            },
          },
          tolerations: [{ key: 'node-role.kubernetes.io/control-plane', operator: 'Exists', effect: 'NoSchedule' }],
          containers: [buildContainer(image)],
          volumes: [
            { name: 'policy', configMap: { name: configMapName } },
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
      { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
      { name: 'POD_SERVICE_ACCOUNT', valueFrom: { fieldRef: { fieldPath: 'spec.serviceAccountName' } } },
    ],
    ports: [
      { name: 'https', containerPort: admissionPort },
      { name: 'health', containerPort: healthPort },
    ],
    readinessProbe: { httpGet: { path: '/readyz', port: 'health' }, periodSeconds: 5 },
    livenessProbe: { httpGet: { path: '/healthz', port: 'health' }, periodSeconds: 10, failureThreshold: 3 },
    // An idle server takes 95 MiB with a few nodes and 130 MiB with 5,000.
    resources: { requests: { cpu: '100m', memory: '160Mi' }, limits: { memory: '384Mi' } },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: [
      { name: 'policy', mountPath: policyDirectory, readOnly: true },
      { name: 'tls', mountPath: tlsDirectory, readOnly: true },
    ],
  };
}
