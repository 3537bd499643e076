import type { Taint } from '../kube/taint.ts';
import type { Enforcement } from '../model/finding.ts';
import type { NodeType } from '../model/policy.ts';
import type { JsonSchema } from '../rule.ts';
import type { Reason } from './reasons.ts';

/** `rules.node-conformance` of the policy file. */
export interface ConformanceSettings {
  readonly enforcement: Readonly<Record<Reason, Enforcement>>;
  /** Ceiling for every reason on a control-plane node: a join refused at registration leaves a half-joined etcd member behind. */
  readonly controlPlaneAtMost: 'enforce' | 'warn' | 'audit';
  readonly kubernetes: string;
  /** Runtime name to minimum version. A runtime that is not named violates. */
  readonly runtimes: Readonly<Record<string, string>>;
  readonly architectures: Readonly<Partial<Record<NodeType | 'any', readonly string[]>>>;
  readonly minimums: Readonly<Partial<Record<NodeType | 'controlPlane', Minimum>>>;
  /** Percentages, e.g. `5%`: how far capacity may fall short of the minimum (kernel reserve, formatting). */
  readonly shortfall: { readonly memory: string; readonly disk: string };
  readonly osImages: readonly { readonly prefix: string; readonly minimum: string }[];
  readonly driver: { readonly types: readonly NodeType[]; readonly minimum: string };
  readonly cuda: { readonly types: readonly NodeType[]; readonly minimum: string; readonly toolkitLabel: string };
  readonly jetpack: {
    readonly types: readonly NodeType[];
    readonly minimum: string;
    readonly label: string;
    readonly l4tLabel: string;
    readonly l4t: Readonly<Record<string, string>>;
  };
  /** The taint that a node of type operator gets at registration if it bears no operator taint; null = none. */
  readonly taintOperatorNodes: Taint | null;
}

/** Quantities as Kubernetes writes them. */
export interface Minimum {
  readonly cpu?: string;
  readonly memory?: string;
  readonly disk?: string;
}

/** Defaults: the guide's figures. Source of each: the on-prem backend guide's tables. */
export const conformanceDefaults: ConformanceSettings = {
  enforcement: {
    'kubernetes-version': 'enforce',
    architecture: 'enforce',
    'container-runtime': 'enforce',
    'os-image': 'enforce',
    cpu: 'enforce',
    memory: 'enforce',
    disk: 'warn',
    'node-type': 'warn',
    'type-facts': 'enforce',
    address: 'warn',
    'dns-name': 'warn',
    driver: 'quarantine',
    cuda: 'quarantine',
    jetpack: 'quarantine',
    'operator-untainted': 'warn',
  },
  controlPlaneAtMost: 'warn',
  kubernetes: '1.30.0',
  runtimes: { containerd: '1.7.27' },
  architectures: { any: ['amd64', 'arm64'], gpu: ['amd64'], jetson: ['arm64'] },
  minimums: {
    operator: { cpu: '4', memory: '8G', disk: '50G' },
    controlPlane: { cpu: '12', memory: '24G', disk: '200G' },
  },
  shortfall: { memory: '5%', disk: '5%' },
  osImages: [
    { prefix: 'Ubuntu', minimum: '22.04' },
    { prefix: 'Red Hat Enterprise Linux', minimum: '9' },
    { prefix: 'Rocky Linux', minimum: '9' },
    { prefix: 'SUSE Linux Enterprise Server', minimum: '15' },
  ],
  driver: { types: ['gpu'], minimum: '535.216.03' },
  cuda: { types: ['gpu'], minimum: '12.6', toolkitLabel: '' },
  jetpack: {
    types: ['jetson'],
    minimum: '6.2',
    label: '',
    l4tLabel: '',
    l4t: { '36.4.3': '6.2', '36.4.4': '6.2.1' },
  },
  taintOperatorNodes: null,
};

const version = (description: string): JsonSchema => ({
  type: 'string',
  pattern: '^v?[0-9]+(\\.[0-9]+)*',
  format: 'version',
  description,
});
/** In maps whose keys are the user's, null takes a default away. */
const orNull = (schema: JsonSchema): JsonSchema => ({ ...schema, type: [schema.type, 'null'] });
const quantity = { type: ['string', 'null'], format: 'quantity' };
const typeList = (description: string): JsonSchema => ({
  type: 'array',
  uniqueItems: true,
  items: { $ref: '#/$defs/nodeType' },
  description,
});
const labelKey = (description: string): JsonSchema => ({ type: 'string', format: 'labelKeyOrEmpty', description });
const closed = (properties: JsonSchema, description: string, extra: JsonSchema = {}): JsonSchema => ({
  type: 'object',
  additionalProperties: false,
  properties,
  description,
  ...extra,
});

const minimum = orNull(
  closed(
    { cpu: quantity, memory: quantity, disk: quantity },
    'Least capacity of such a node; a resource left out is not judged.',
  ),
);

const levels: readonly Enforcement[] = ['enforce', 'quarantine', 'warn', 'audit', 'off'];

export const conformanceSchema: JsonSchema = closed(
  {
    enforcement: closed(
      Object.fromEntries(Object.keys(conformanceDefaults.enforcement).map((reason) => [reason, { enum: levels }])),
      'Per reason: enforce = refuse a node that is surely new, quarantine = admit it with a warning, warn, audit, off.',
    ),
    controlPlaneAtMost: {
      enum: ['enforce', 'warn', 'audit'],
      description:
        'Ceiling on control-plane nodes: a join refused at registration leaves a half-joined etcd member behind.',
    },
    kubernetes: version('Least version of the kubelet.'),
    runtimes: {
      type: 'object',
      additionalProperties: orNull(version('Least version of this runtime.')),
      description: 'Container runtimes allowed, with their least version; one not named violates.',
    },
    architectures: closed(
      Object.fromEntries(
        ['any', 'operator', 'compute', 'gpu', 'jetson', 'shared'].map((type) => [
          type,
          { type: ['array', 'null'], minItems: 1, items: { type: 'string', minLength: 1 } },
        ]),
      ),
      'Architectures allowed per node type; "any" stands for every type that is not listed.',
    ),
    minimums: closed(
      Object.fromEntries(
        ['operator', 'compute', 'gpu', 'jetson', 'shared', 'controlPlane'].map((type) => [type, minimum]),
      ),
      'Least cpu, memory and disk per node type; a shared node without an entry of its own meets the operator row.',
    ),
    shortfall: closed(
      { memory: { type: 'string', format: 'percentage' }, disk: { type: 'string', format: 'percentage' } },
      'How far capacity may fall short: the kernel reserves memory, and disks format smaller than they are sold.',
    ),
    osImages: {
      type: 'array',
      items: closed(
        { prefix: { type: 'string', minLength: 1 }, minimum: version('Least version after the prefix.') },
        'One operating system.',
        { required: ['prefix', 'minimum'] },
      ),
      description:
        'Prefixes of nodeInfo.osImage with their least version; an image that none names is unknown, not a violation.',
    },
    driver: closed(
      { types: typeList('Types judged.'), minimum: version('Least NVIDIA driver.') },
      'NVIDIA driver, from the labels of GPU feature discovery.',
    ),
    cuda: closed(
      {
        types: typeList('Types judged.'),
        minimum: version('Least CUDA.'),
        toolkitLabel: labelKey('A label that states the installed CUDA toolkit; empty = none.'),
      },
      'CUDA. The runtime-version label is what the driver supports: it can show that the node meets, never that it violates; a toolkitLabel can show both.',
    ),
    jetpack: closed(
      {
        types: typeList('Types judged.'),
        minimum: version('Least JetPack.'),
        label: labelKey('A label that states the JetPack version; empty = none.'),
        l4tLabel: labelKey('A label that states the L4T version; empty = none.'),
        l4t: {
          type: 'object',
          propertyNames: { pattern: '^[0-9]+(\\.[0-9]+)*$' },
          additionalProperties: orNull(version('JetPack version.')),
          description: 'L4T version to JetPack version.',
        },
      },
      'JetPack. No standard label carries it: name the one that your provisioning sets.',
    ),
    taintOperatorNodes: orNull(
      closed(
        {
          key: { type: 'string', format: 'labelKey' },
          value: { type: 'string', format: 'labelValue' },
          effect: { enum: ['NoSchedule', 'NoExecute'] },
        },
        'null, or a taint that a node of type operator gets at registration if it bears no operator taint, e.g. {key: node-type, value: operator, effect: NoSchedule}.',
        { required: ['key', 'effect'] },
      ),
    ),
  },
  'Holds each node that registers against the guide.',
);
