import { kwokAnnotation } from '../../cluster/control-plane.ts';
import type { KubeObject } from '../../support/fixtures.ts';

/*
 * Random nodes and pods from a seed. What they say is drawn from one small universe, so that they meet each other often, and from what
 * people really write: the guide's node types and taints, OSMO's platforms, and every field that decides where a pod may land.
 */

export interface Random {
  /** A whole number from 0, less than `below`. */
  below(below: number): number;
  /** @throws Error for an empty list. */
  pick<T>(values: readonly T[]): T;
  chance(probability: number): boolean;
}

/** The same seed draws the same (mulberry32). */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    below,
    pick(values) {
      const value = values[below(values.length)];
      if (value === undefined) throw new Error('nothing to pick from');
      return value;
    },
    chance: (probability) => next() < probability,
  };
}

const racks = ['r1', 'r2', 'r3', 'r4'] as const;
const platforms = ['cpu-x86', 'ovx-l40s', 'dgx-h100', 'agx-orin-1', 'jetson-7'] as const;

/** How a node of a kind is told: by label, by taint, by both, and of what it offers. */
const kinds = ['operator', 'operator', 'compute', 'compute', 'gpu', 'gpu', 'jetson', 'untyped'] as const;

/** `count` nodes, at least one of each kind, kept Ready by kwok. */
export function randomNodes(random: Random, count: number): readonly KubeObject[] {
  return Array.from({ length: count }, (_, index) =>
    randomNode(random, index, kinds[index] ?? random.pick(kinds), nodeName(index)),
  );
}

const nodeName = (index: number): string => `node-${index}`;

function randomNode(random: Random, index: number, kind: (typeof kinds)[number], name: string): KubeObject {
  const labelled = kind !== 'untyped' && (kind !== 'operator' || random.chance(0.7));
  const jetson = kind === 'jetson';
  const capacity = {
    cpu: '64',
    memory: '256G',
    pods: '250',
    'ephemeral-storage': '500G',
    ...(kind === 'gpu' && { 'nvidia.com/gpu': '64' }),
  };
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      annotations: kwokAnnotation,
      labels: {
        'kubernetes.io/hostname': name,
        'kubernetes.io/arch': jetson ? 'arm64' : 'amd64',
        'kubernetes.io/os': 'linux',
        rack: random.pick(racks),
        slot: String(index),
        ...(labelled && { 'node-type': kind }),
      },
    },
    spec: { taints: taintsOf(random, kind, labelled), ...(random.chance(0.05) && { unschedulable: true }) },
    status: {
      capacity,
      allocatable: capacity,
      addresses: [
        { type: 'InternalIP', address: `10.20.1.${index + 1}` },
        { type: 'Hostname', address: name },
      ],
      nodeInfo: {
        architecture: jetson ? 'arm64' : 'amd64',
        containerRuntimeVersion: 'containerd://1.7.28',
        kernelVersion: jetson ? '5.15.148-tegra' : '5.15.0-134-generic',
        kubeletVersion: 'v1.32.4',
        osImage: 'Ubuntu 22.04.5 LTS',
        operatingSystem: 'linux',
        kubeProxyVersion: '',
        machineID: '',
        systemUUID: '',
        bootID: '',
      },
    },
  };
}

function taintsOf(random: Random, kind: (typeof kinds)[number], labelled: boolean): readonly object[] {
  switch (kind) {
    case 'operator':
      // Without a label only a taint says so; with one, people forget the taint.
      if (labelled && random.chance(0.4)) return [];
      return [
        random.pick<object>([
          { key: 'ops', effect: 'NoSchedule' },
          { key: 'ops', value: 'true', effect: 'NoExecute' },
          { key: 'node-type', value: 'operator', effect: 'NoSchedule' },
        ]),
      ];
    case 'gpu':
      return random.pick<readonly object[]>([
        [],
        [{ key: 'nvidia.com/gpu', value: 'present', effect: 'NoSchedule' }],
        [{ key: 'node-type', value: 'gpu', effect: 'NoSchedule' }],
      ]);
    case 'jetson':
      return random.chance(0.5) ? [{ key: 'node-type', value: 'jetson', effect: 'NoSchedule' }] : [];
    default:
      return random.chance(0.1) ? [{ key: 'maintenance', effect: 'PreferNoSchedule' }] : [];
  }
}

/** A workflow pod that the API server takes as it is written. */
export function randomPod(random: Random, index: number, nodes: number): KubeObject {
  const name = `task-${index}`;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'osmo-workflows',
      labels: {
        'osmo.workflow_uuid': 'a',
        'osmo.task_uuid': name,
        ...(random.chance(0.7) && { 'osmo.platform': random.pick(platforms) }),
      },
    },
    spec: {
      schedulerName: random.pick(['kai-scheduler', 'kai-scheduler', 'default-scheduler']),
      restartPolicy: 'Never',
      ...(random.chance(0.1) && { runtimeClassName: 'nvidia' }),
      ...(random.chance(0.07) &&
        random.pick<object>([
          { nodeName: nodeName(random.below(nodes)) },
          { schedulingGates: [{ name: 'example.com/wait' }] },
        ])),
      ...selectorOf(random, nodes),
      ...(random.chance(0.35) && { affinity: { nodeAffinity: randomAffinity(random, nodes) } }),
      tolerations: several(random, 2, () => random.pick<object>(random.chance(0.6) ? harmless : tolerations)),
      initContainers: several(random, 1, () => container(random, 'init')),
      containers: [container(random, 'main'), ...several(random, 1, () => container(random, 'second'))],
    },
  };
}

/** None to `most` of what is drawn. */
export function several<T>(random: Random, most: number, draw: () => T): readonly T[] {
  return Array.from({ length: random.below(most + 1) }, draw);
}

/** OSMO renders the zero into every pod that has no GPU. */
function container(random: Random, name: string): object {
  const limits = random.chance(0.5) ? { 'nvidia.com/gpu': random.pick(['0', '0', '1']) } : {};
  return { name, image: 'ubuntu:22.04', resources: { limits: { cpu: '10m', ...limits } } };
}

const harmless = [
  { key: 'nvidia.com/gpu', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node-type', value: 'gpu', effect: 'NoSchedule' },
  { key: 'example.com/other', operator: 'Exists' },
] as const;

const tolerations = [
  { operator: 'Exists' },
  { operator: 'Exists', effect: 'NoExecute' },
  { key: 'ops', operator: 'Exists' },
  { key: 'ops', value: 'true', effect: 'NoExecute' },
  { key: 'node-type', operator: 'Equal', value: 'operator', effect: 'NoSchedule' },
  { key: 'node-type', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node-type', value: 'jetson' },
  { key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoSchedule' },
] as const;

function selectorOf(random: Random, nodes: number): object {
  if (!random.chance(0.4)) return {};
  const pair = random.pick<object>([
    { 'node-type': random.pick(['operator', 'compute', 'gpu', 'jetson']) },
    { rack: random.pick(racks) },
    { 'kubernetes.io/arch': random.pick(['amd64', 'arm64']) },
    { 'kubernetes.io/hostname': nodeName(random.below(nodes)) },
  ]);
  return { nodeSelector: pair };
}

function randomAffinity(random: Random, nodes: number): object {
  const terms = Array.from({ length: 1 + random.below(3) }, () => randomTerm(random, nodes));
  const required = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } };
  const preferred = {
    preferredDuringSchedulingIgnoredDuringExecution: [
      { weight: 100, preference: { matchExpressions: [{ key: 'node-type', operator: 'In', values: ['operator'] }] } },
    ],
  };
  return random.pick([required, required, preferred, { ...required, ...preferred }]);
}

function randomTerm(random: Random, nodes: number): object {
  if (random.chance(0.05)) return {};
  const name = nodeName(random.below(nodes));
  const expressions = several(random, 2, () =>
    random.pick<object>([
      { key: 'node-type', operator: 'In', values: [random.pick(['operator', 'compute', 'gpu', 'jetson'])] },
      { key: 'node-type', operator: 'NotIn', values: [random.pick(['operator', 'compute', 'gpu'])] },
      { key: 'node-type', operator: random.pick(['Exists', 'DoesNotExist']) },
      { key: 'rack', operator: 'In', values: several(random, 2, () => random.pick(racks)).concat('r1') },
      { key: 'slot', operator: random.pick(['Gt', 'Lt']), values: [String(random.below(nodes))] },
    ]),
  );
  const fields = random.chance(0.2)
    ? [{ key: 'metadata.name', operator: random.pick(['In', 'NotIn']), values: [name] }]
    : [];
  return {
    ...(expressions.length > 0 && { matchExpressions: expressions }),
    ...(fields.length > 0 && { matchFields: fields }),
  };
}
