import type { Policy } from '../policy/model/policy.ts';
import type { BoundRule } from '../policy/rule.ts';

/** The policy that is used where the file is silent. Rules bring their own defaults. */
export function defaultPolicy(rules: readonly BoundRule[]): Policy {
  return {
    preset: 'enforce',
    workflowPods: { namespaces: ['osmo-workflows'], labels: ['osmo.workflow_uuid', 'osmo.task_uuid'] },
    nodes: {
      typeLabel: 'node-type',
      types: { operator: 'operator', compute: 'compute', gpu: 'gpu', jetson: 'jetson' },
      operatorTaints: [{ key: 'ops' }, { key: 'node-type', value: 'operator' }],
      controlPlane: {
        labels: ['node-role.kubernetes.io/control-plane'],
        taints: ['node-role.kubernetes.io/control-plane'],
      },
    },
    profiles: [
      {
        name: 'jetson',
        match: { platforms: ['agx-orin-*', 'jetson-*'], nodeTypes: ['jetson'], podLabels: {} },
        nodeType: 'jetson',
        tolerations: [{ key: 'node-type', operator: 'Equal', value: 'jetson', effect: 'NoSchedule' }],
        whenNoNodeMatches: 'auto',
      },
      {
        name: 'gpu',
        match: {
          resources: ['nvidia.com/gpu', 'nvidia.com/gpu.shared', 'nvidia.com/mig-*'],
          podAnnotations: ['gpu-fraction', 'gpu-memory'],
          deviceClasses: ['gpu.nvidia.com', 'mig.nvidia.com'],
        },
        nodeType: 'gpu',
        tolerations: [
          { key: 'nvidia.com/gpu', operator: 'Exists', effect: 'NoSchedule' },
          { key: 'node-type', operator: 'Equal', value: 'gpu', effect: 'NoSchedule' },
        ],
        whenNoNodeMatches: 'auto',
      },
      { name: 'compute', match: {}, tolerations: [] },
    ],
    rules: Object.fromEntries(rules.map((rule) => [rule.id, rule.settings.defaults])),
    exemptions: [
      { reason: 'cluster components', namespaces: ['kube-system'] },
      { reason: 'OSMO test pods', namespaces: ['osmo-test'] },
      { reason: 'OSMO operator', namespaces: ['osmo-operator', 'osmo'] },
    ],
  };
}
