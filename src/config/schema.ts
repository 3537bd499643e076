import type { BoundRule, JsonSchema } from '../policy/rule.ts';
import { taintsSchema } from '../policy/taint-patterns.ts';

/** The only version there is. An older known one will be converted; an unknown one is refused. */
export const policyApiVersion = 'osmo-admission/v1alpha1';
export const policyKind = 'AdmissionPolicy';

const labelKey = { type: 'string', format: 'labelKey' };
const names = (description: string, format: string): JsonSchema => ({
  type: 'array',
  items: { type: 'string', format },
  uniqueItems: true,
  description,
});
const strings = (description: string): JsonSchema => ({
  type: 'array',
  items: { type: 'string', minLength: 1 },
  uniqueItems: true,
  description,
});
const labelMap = (description: string): JsonSchema => ({
  type: 'object',
  propertyNames: { format: 'labelKey' },
  additionalProperties: { type: 'string', format: 'labelValue' },
  description,
});

const toleration: JsonSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['key'],
  properties: {
    key: labelKey,
    operator: { enum: ['Equal', 'Exists'] },
    value: { type: 'string', format: 'labelValue' },
    effect: { enum: ['NoSchedule', 'PreferNoSchedule', 'NoExecute'] },
    tolerationSeconds: { type: 'integer' },
  },
};

const match: JsonSchema = {
  type: 'object',
  additionalProperties: false,
  description: 'Any of these; {} matches every pod. Globs: * stands for any run of characters.',
  properties: {
    platforms: strings('Globs over the pod label osmo.platform.'),
    nodeTypes: {
      type: 'array',
      items: { $ref: '#/$defs/nodeType' },
      uniqueItems: true,
      description: 'A nodeSelector or required affinity that means one of these types.',
    },
    podLabels: labelMap('All of these labels.'),
    resources: strings('Globs over resources requested or limited above zero.'),
    podAnnotations: names('Keys of annotations.', 'labelKey'),
    deviceClasses: names('Names of device classes that a resource claim of the pod asks for.', 'dnsSubdomain'),
  },
};

const profile: JsonSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'match', 'tolerations'],
  properties: {
    name: { type: 'string', format: 'dnsLabel' },
    match,
    nodeType: {
      $ref: '#/$defs/nodeType',
      description: 'Injects a nodeSelector for this type; left out, the exclusion alone.',
    },
    tolerations: {
      type: 'array',
      items: toleration,
      description: 'Injected unless the pod tolerates the same already.',
    },
    whenNoNodeMatches: {
      enum: ['auto', 'inject', 'skip', 'deny'],
      description:
        'When no live node has the type. auto: leave the selector out if another node offers what was matched, else inject.',
    },
  },
};

const exemption = (ruleIds: readonly string[]): JsonSchema => ({
  type: 'object',
  additionalProperties: false,
  required: ['reason'],
  properties: {
    reason: {
      type: 'string',
      minLength: 1,
      maxLength: 200,
      description: 'Why; stands in every audit record that uses it.',
    },
    rules: {
      type: 'array',
      minItems: 1,
      uniqueItems: true,
      items: { enum: ruleIds },
      description: 'Rules exempted; left out, all.',
    },
    namespaces: names('Namespaces of the object.', 'dnsLabel'),
    podSelector: labelMap(
      'Labels of the pod; never alone, and in a workflow namespace only together with serviceAccounts.',
    ),
    users: strings('User names of the requester, exact.'),
    groups: strings('Groups of the requester, exact.'),
    serviceAccounts: {
      type: 'array',
      uniqueItems: true,
      items: { type: 'string', pattern: '^[^/]+/[^/]+$' },
      description: 'namespace/name of the requester.',
    },
    nodes: names('Names of nodes, for rules that judge nodes.', 'dnsSubdomain'),
    until: { type: 'string', format: 'day', description: 'Holds to the end of that day, UTC: "2027-01-31".' },
  },
});

/** The JSON Schema of the policy file (draft 2020-12), assembled from its sections and the rules' own settings. */
export function policySchema(rules: readonly BoundRule[]): JsonSchema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'OSMO admission policy',
    type: 'object',
    additionalProperties: false,
    required: ['apiVersion', 'kind'],
    $defs: { nodeType: { enum: ['operator', 'compute', 'gpu', 'jetson', 'shared'] } },
    properties: {
      apiVersion: { const: policyApiVersion, description: 'Version of this file’s format.' },
      kind: { const: policyKind },
      preset: {
        enum: ['enforce', 'monitor'],
        description:
          'monitor is a ceiling: nothing is denied or patched, everything is recorded, whatever else is written.',
      },
      workflowPods: {
        type: 'object',
        additionalProperties: false,
        description:
          'Which pods are workflow pods: those in these namespaces, and those that bear all of these labels anywhere.',
        properties: {
          namespaces: names('Every pod in these namespaces is a workflow pod.', 'dnsLabel'),
          labels: names('A pod with all of these labels is one anywhere; [] = by namespace only.', 'labelKey'),
        },
      },
      nodes: {
        type: 'object',
        additionalProperties: false,
        description: 'How nodes tell what they are for.',
        properties: {
          typeLabel: { ...labelKey, description: 'The label that holds the node type.' },
          types: {
            type: 'object',
            propertyNames: { format: 'labelValue' },
            additionalProperties: { enum: ['operator', 'compute', 'gpu', 'jetson', 'shared', null] },
            description:
              'Label value: operator, compute, gpu, jetson or shared (serves operator and workflow pods alike). null takes a default away.',
          },
          operatorTaints: taintsSchema('Taints that mark operator nodes.'),
          controlPlane: {
            type: 'object',
            additionalProperties: false,
            description: 'What marks a control-plane node: any of these label or taint keys.',
            properties: { labels: names('Label keys.', 'labelKey'), taints: names('Taint keys.', 'labelKey') },
          },
        },
      },
      profiles: {
        type: 'array',
        minItems: 1,
        items: profile,
        description: 'What placement injects, by what a pod asks for; first match wins, the last must match every pod.',
      },
      rules: {
        type: 'object',
        additionalProperties: false,
        description: 'Settings of each rule.',
        properties: Object.fromEntries(rules.map((rule) => [rule.id, rule.settings.schema])),
      },
      exemptions: {
        type: 'array',
        items: exemption(rules.map(({ id }) => id)),
        description:
          'Who is not judged. Fields of an entry are ANDed, entries ORed; the webhook’s own namespace is always exempt.',
      },
    },
  };
}
