/** The service account that a feature discovery labels nodes with, and its rights: `discovery` in namespace `gpu-operator`. */
export const featureDiscovery: readonly object[] = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'gpu-operator' } },
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'discovery', namespace: 'gpu-operator' } },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'discovery' },
    rules: [{ apiGroups: [''], resources: ['nodes'], verbs: ['get', 'patch'] }],
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'discovery' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'discovery' },
    subjects: [{ kind: 'ServiceAccount', name: 'discovery', namespace: 'gpu-operator' }],
  },
];
