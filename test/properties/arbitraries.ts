import fc from 'fast-check';
import { naiveIsLabelKey, naiveIsLabelValue } from '../kube/naive.ts';

/*
 * Random pods and nodes over a small universe of keys and values, so that they meet each other often. The universe holds the
 * default policy's own words (node-type, ops, nvidia.com/gpu) beside foreign ones.
 */

const labelUniverse: Readonly<Record<string, readonly string[]>> = {
  'node-type': ['operator', 'compute', 'gpu', 'jetson', 'other'],
  rack: ['r1', 'r2', '7', '12'],
  'kubernetes.io/hostname': ['n0', 'n1', 'n2'],
  '~a/b': ['x'],
};

const keys = Object.keys(labelUniverse);
const values = [...new Set(Object.values(labelUniverse).flat()), '3', '-4', 'x y', ''];

const labels = fc.dictionary(fc.constantFrom(...keys), fc.constantFrom(...values), {
  maxKeys: 3,
  noNullPrototype: true,
});

const taintKeys = ['ops', 'node-type', 'nvidia.com/gpu', 'rack'];
const effects = ['NoSchedule', 'NoExecute', 'PreferNoSchedule'];

/** What a node can bear: the API server refuses other keys and values, so that a pod which asks for them fits nowhere. */
const nodeLabels = fc.dictionary(
  fc.constantFrom(...keys.filter(naiveIsLabelKey)),
  fc.constantFrom(...values.filter(naiveIsLabelValue)),
  { maxKeys: 3, noNullPrototype: true },
);

export const taint = fc.record(
  {
    key: fc.constantFrom(...taintKeys),
    value: fc.constantFrom('operator', 'gpu', 'x', '5', ''),
    effect: fc.constantFrom(...effects),
  },
  { requiredKeys: ['key', 'effect'], noNullPrototype: true },
);

export const toleration = fc.record(
  {
    key: fc.constantFrom(...taintKeys, ''),
    operator: fc.constantFrom('Equal', 'Exists', 'Lt', 'Gt', 'Bogus', ''),
    value: fc.constantFrom('operator', 'gpu', 'x', '5', ''),
    effect: fc.constantFrom(...effects, ''),
    tolerationSeconds: fc.constantFrom(0, 300),
  },
  { requiredKeys: [], noNullPrototype: true },
);

const expression = fc.record(
  {
    key: fc.constantFrom(...keys),
    operator: fc.constantFrom('In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt', 'Bogus'),
    values: fc.array(fc.constantFrom(...values), { maxLength: 3 }),
  },
  { requiredKeys: ['key', 'operator'], noNullPrototype: true },
);

const fieldExpression = fc.record(
  {
    key: fc.constantFrom('metadata.name', 'metadata.name', 'metadata.namespace'),
    operator: fc.constantFrom('In', 'NotIn', 'Exists'),
    values: fc.array(fc.constantFrom('n0', 'n1', 'n9'), { minLength: 1, maxLength: 2 }),
  },
  { noNullPrototype: true },
);

const term = fc.record(
  {
    matchExpressions: fc.array(expression, { maxLength: 3 }),
    matchFields: fc.array(fieldExpression, { maxLength: 2 }),
  },
  { requiredKeys: [], noNullPrototype: true },
);

const affinity = fc.oneof(
  fc.constant(null),
  fc.constant({}),
  fc.constant({ podAffinity: {} }),
  fc.constant({ nodeAffinity: {} }),
  fc.constant({ nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } }),
  fc.array(term, { maxLength: 3 }).map((nodeSelectorTerms) => ({
    nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } },
  })),
);

const quantity = fc.constantFrom('0', '1', '8', '500m', '0.0', '1e3', '4Gi');
const resources = fc.record(
  {
    limits: fc.dictionary(fc.constantFrom('cpu', 'nvidia.com/gpu', 'nvidia.com/mig-1g.5gb'), quantity, {
      maxKeys: 2,
      noNullPrototype: true,
    }),
    requests: fc.dictionary(fc.constantFrom('cpu', 'nvidia.com/gpu'), quantity, { maxKeys: 2, noNullPrototype: true }),
  },
  { requiredKeys: [], noNullPrototype: true },
);

const container = fc.record({ name: fc.constant('c'), resources }, { requiredKeys: ['name'], noNullPrototype: true });

/** What is known of each claim that a pod here may refer to. */
export const claimUniverse = {
  gpu: { state: 'found', classes: ['gpu.nvidia.com', 'nic.example.com'] },
  nic: { state: 'found', classes: ['nic.example.com'] },
  late: { state: 'unknown', why: 'there is none of that name' },
} as const;

const claimName = fc.constantFrom(...Object.keys(claimUniverse));
const podClaim = fc.oneof(
  fc.record({ name: fc.constant('r'), resourceClaimName: claimName }, { noNullPrototype: true }),
  fc.record({ name: fc.constant('r'), resourceClaimTemplateName: claimName }, { noNullPrototype: true }),
  fc.constant({ name: 'r' }),
);

/** A pod in a workflow namespace; each optional field is there, absent, empty or null. */
export const pod = fc.record({
  apiVersion: fc.constant('v1'),
  kind: fc.constant('Pod'),
  metadata: fc.record(
    {
      name: fc.constant('p'),
      namespace: fc.constant('osmo-workflows'),
      labels: fc.oneof(
        fc.constant(null),
        fc.dictionary(fc.constantFrom('osmo.platform', 'a'), fc.constantFrom('jetson-1', 'cpu'), {
          noNullPrototype: true,
        }),
      ),
      annotations: fc.oneof(
        fc.constant(null),
        fc.constant({ 'gpu-fraction': '0.5' }),
        fc.constant({ 'kubernetes.io/config.mirror': 'x' }),
      ),
    },
    { requiredKeys: ['name', 'namespace'], noNullPrototype: true },
  ),
  spec: fc.record(
    {
      containers: fc.array(container, { minLength: 1, maxLength: 2 }),
      initContainers: fc.oneof(fc.constant(null), fc.array(container, { maxLength: 1 })),
      nodeSelector: fc.oneof(fc.constant(null), labels),
      tolerations: fc.oneof(fc.constant(null), fc.array(toleration, { maxLength: 3 })),
      affinity,
      nodeName: fc.constantFrom('', 'n0', 'n1', 'n9'),
      resourceClaims: fc.oneof(fc.constant(null), fc.array(podClaim, { maxLength: 2 })),
      schedulerName: fc.constantFrom('kai-scheduler', 'default-scheduler', 'skipped'),
    },
    { requiredKeys: ['containers'], noNullPrototype: true },
  ),
});

/** A node as a list item, without a name: `cluster` names them. */
const node = fc.record({
  labels: nodeLabels,
  taints: fc.array(taint, { maxLength: 2 }),
  unschedulable: fc.boolean(),
  gpus: fc.constantFrom('0', '8'),
  kernelVersion: fc.constantFrom('5.15.0-generic', '5.15.148-tegra', ''),
  architecture: fc.constantFrom('amd64', 'arm64', ''),
});

/** Up to five nodes, named n0 to n4. */
export const cluster = fc.array(node, { maxLength: 5 }).map((nodes) =>
  nodes.map(({ labels: own, taints, unschedulable, gpus, kernelVersion, architecture }, index) => ({
    metadata: { name: `n${index}`, labels: own },
    spec: { taints, unschedulable },
    status: { capacity: { cpu: '4', 'nvidia.com/gpu': gpus }, nodeInfo: { kernelVersion, architecture } },
  })),
);
