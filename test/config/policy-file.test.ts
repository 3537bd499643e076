import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { defaultPolicy } from '../../src/config/defaults.ts';
import { compileDefaults, createPolicyParser, PolicyFileError } from '../../src/config/parse.ts';
import { printDefaults } from '../../src/config/print-defaults.ts';
import { rules } from '../../src/policy/rules/index.ts';

const parsePolicy = createPolicyParser({ rules });
const head = 'apiVersion: osmo-admission/v1alpha1\nkind: AdmissionPolicy\n';

/** The messages that a file is refused with. */
function refusal(text: string): string {
  try {
    parsePolicy(text, 'policy.yaml');
  } catch (error) {
    if (error instanceof PolicyFileError) return error.message;
    throw error;
  }
  throw new Error('the file was accepted');
}

describe('defaults', () => {
  it('printed are the defaults used, and pass their own validation', () => {
    const printed = printDefaults(rules);
    const { apiVersion: _version, kind: _kind, ...sections } = parse(printed);
    expect(sections).toEqual(defaultPolicy(rules));
    expect(parsePolicy(printed, 'defaults').digest).toBe(compileDefaults({ rules }).digest);
  });

  it('printed say what each key means', () => {
    const lines = printDefaults(rules).split('\n');
    for (const key of ['preset:', 'workflowPods:', 'profiles:', 'exemptions:', '    enforcement:']) {
      const index = lines.findIndex((line) => line.startsWith(key));
      expect(lines[index - 1]?.trim().startsWith('#'), key).toBe(true);
    }
  });

  it('hold where a file is silent', () => {
    expect(parsePolicy(head, 'p').policy).toEqual(defaultPolicy(rules));
  });
});

describe('merging', () => {
  it('merges maps and replaces lists', () => {
    const { policy } = parsePolicy(
      `${head}nodes:\n  types: {service: operator}\nworkflowPods:\n  namespaces: [a, b]\n`,
      'p',
    );
    expect(policy.nodes.types).toEqual({
      operator: 'operator',
      compute: 'compute',
      gpu: 'gpu',
      jetson: 'jetson',
      service: 'operator',
    });
    expect(policy.workflowPods.namespaces).toEqual(['a', 'b']);
    expect(policy.workflowPods.labels).toEqual(['osmo.workflow_uuid', 'osmo.task_uuid']);
  });

  it('takes a default away with null', () => {
    const { policy, operatorValues } = parsePolicy(
      `${head}nodes:\n  types: {operator: null, service: operator}\n`,
      'p',
    );
    expect(Object.keys(policy.nodes.types)).toEqual(['compute', 'gpu', 'jetson', 'service']);
    expect(operatorValues).toEqual(['service']);
  });

  it('keeps taintOperatorNodes: null, whose default is null', () => {
    const { policy } = parsePolicy(`${head}rules:\n  node-conformance: {taintOperatorNodes: null}\n`, 'p');
    expect(policy.rules['node-conformance']).toHaveProperty('taintOperatorNodes', null);
  });

  it('reads off, also where YAML 1.1 made it false', () => {
    const { enforcementOf } = parsePolicy(
      `${head}rules:\n  placement: {enforcement: false}\n  node-conformance: {enforcement: {disk: false, cpu: off}}\n`,
      'p',
    );
    expect([
      enforcementOf('placement', ''),
      enforcementOf('node-conformance', 'disk'),
      enforcementOf('node-conformance', 'cpu'),
    ]).toEqual(['off', 'off', 'off']);
  });
});

describe('the digest', () => {
  it('is the same for the same policy, however it is written', () => {
    const a = parsePolicy(`${head}preset: monitor\nnodes: {typeLabel: node_group}\n`, 'a').digest;
    const b = parsePolicy(
      `kind: AdmissionPolicy\nnodes:\n  typeLabel: "node_group"\napiVersion: osmo-admission/v1alpha1\npreset: monitor # yes\n`,
      'b',
    ).digest;
    expect(a).toBe(b);
    expect(a).toMatch(/^[0-9a-f]{64}$/);
    expect(a).not.toBe(parsePolicy(head, 'c').digest);
  });
});

describe('a bad file is refused with file, line, path and what to write', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['an empty file', '', 'policy.yaml:1:1: the file is empty'],
    ['no YAML', `${head}preset: [`, 'policy.yaml:3:10: the file is not valid YAML'],
    [
      'a duplicate key',
      `${head}preset: enforce\npreset: monitor\n`,
      'policy.yaml:4:1: the file is not valid YAML: Map keys must be unique',
    ],
    ['two documents', `${head}---\n${head}`, 'holds several documents'],
    ['a list', '- a\n', 'policy.yaml:1:1: the file is a list, must be an object'],
    ['no version', 'kind: AdmissionPolicy\n', 'lacks apiVersion'],
    [
      'an unknown version',
      'apiVersion: osmo-admission/v2\nkind: AdmissionPolicy\n',
      'policy.yaml:1:13: apiVersion is "osmo-admission/v2": write "osmo-admission/v1alpha1"',
    ],
    ['an unknown key', `${head}presets: monitor\n`, 'policy.yaml:3:1: presets is not known; did you mean preset?'],
    [
      'an unknown rule',
      `${head}rules:\n  operator-guard: {enforcement: warn}\n`,
      'policy.yaml:4:3: rules.operator-guard is not known',
    ],
    [
      'an unknown enforcement',
      `${head}rules:\n  placement: {enforcement: enforced}\n`,
      'policy.yaml:4:28: rules.placement.enforcement is "enforced": did you mean enforce?',
    ],
    [
      'quarantine where it has no meaning',
      `${head}rules:\n  placement: {enforcement: quarantine}\n`,
      'write one of enforce, warn, audit, off',
    ],
    ['on, as YAML 1.1 reads it', `${head}rules:\n  placement: {enforcement: true}\n`, 'quote it'],
    [
      'a wrong type',
      `${head}workflowPods: {namespaces: osmo}\n`,
      'policy.yaml:3:28: workflowPods.namespaces is a string, must be a list',
    ],
    [
      'a version as a number',
      `${head}rules:\n  node-conformance:\n    kubernetes: 1.30\n`,
      'policy.yaml:5:17: rules.node-conformance.kubernetes is the number 1.3, must be text: quote it',
    ],
    [
      'a version that is none',
      `${head}rules:\n  node-conformance:\n    kubernetes: latest\n`,
      'write a version such as "1.30.0"',
    ],
    [
      'a quantity that is none',
      `${head}rules:\n  node-conformance:\n    minimums: {gpu: {memory: 8GB}}\n`,
      'is "8GB": write a quantity',
    ],
    [
      'a percentage that is none',
      `${head}rules:\n  node-conformance:\n    shortfall: {memory: "0.05"}\n`,
      'write a percentage such as "5%"',
    ],
    [
      'an unknown reason',
      `${head}rules:\n  node-conformance:\n    enforcement: {gpu-driver: warn}\n`,
      'is not known; known here: kubernetes-version',
    ],
    [
      'null for what must be there',
      `${head}rules:\n  node-conformance:\n    kubernetes: null\n`,
      'is null, must be a string',
    ],
    [
      'an unknown rule in an exemption',
      `${head}exemptions:\n  - {reason: x, namespaces: [a], rules: [placements]}\n`,
      'is "placements": did you mean placement?',
    ],
    ['an exemption without a reason', `${head}exemptions:\n  - {namespaces: [a]}\n`, 'exemptions[0] lacks reason'],
    [
      'a glob in an exemption',
      `${head}exemptions:\n  - {reason: x, namespaces: ["a-*"]}\n`,
      'globs are not known here',
    ],
    [
      'a day that does not exist',
      `${head}exemptions:\n  - {reason: x, namespaces: [a], until: "2027-02-30"}\n`,
      'is "2027-02-30": write a day that exists',
    ],
    [
      'an empty match list that looks like every pod',
      `${head}profiles:\n  - {name: a, match: {platforms: []}, tolerations: []}\n`,
      'the last profile must match every pod',
    ],
  ];
  for (const [name, text, message] of cases) {
    it(name, () => expect(refusal(text)).toContain(message));
  }

  it('lists everything that is wrong at once, in the order of the file', () => {
    const lines = refusal(
      `${head}presett: x\nworkflowPods: {labels: 3}\nrules: {placement: {enforcement: no-way}}\n`,
    ).split('\n');
    expect(lines.map((line) => line.split(':').slice(0, 2).join(':'))).toEqual([
      'policy.yaml:3',
      'policy.yaml:4',
      'policy.yaml:5',
    ]);
  });

  it('survives hostile keys and aliases', () => {
    expect(refusal(`${head}__proto__: {a: 1}\n`)).toContain('__proto__');
    const laughs = [
      'a: &a [x,x,x,x,x,x,x,x,x,x]',
      ...'bcdefgh'.split('').map((name, i) => `${name}: &${name} [${Array(10).fill(`*${'abcdefgh'[i]}`).join(',')}]`),
    ].join('\n');
    expect(refusal(`${head}${laughs}\n`)).toMatch(/alias/i);
  });
});

describe('a contradiction is refused with both places named', () => {
  const cases: readonly (readonly [string, string, readonly string[]])[] = [
    [
      'a profile toleration that matches an operator taint',
      `${head}profiles:\n  - {name: a, match: {}, tolerations: [{key: ops, operator: Exists, effect: NoSchedule}]}\n`,
      ['policy.yaml:4:40: profiles[0].tolerations[0]', 'nodes.operatorTaints[0], a default'],
    ],
    [
      'a label value that means operator with a node-type toleration of a profile',
      `${head}nodes:\n  types: {gpu: operator}\n  operatorTaints: [{key: ops}]\nprofiles:\n  - {name: a, match: {}, tolerations: [{key: node-type, operator: Equal, value: gpu, effect: NoSchedule}]}\n`,
      ['profiles[0].tolerations[0]', 'nodes.types.gpu, line 4', 'gpu means operator'],
    ],
    [
      'a namespace that is both workflow and exempt',
      `${head}exemptions:\n  - {reason: x, namespaces: [osmo-workflows]}\n`,
      ['exemptions[0].namespaces[0]', 'workflowPods.namespaces[0], a default', 'is a workflow namespace and exempt'],
    ],
    [
      'the same, caused by the other side',
      `${head}workflowPods: {namespaces: [kube-system]}\n`,
      ['policy.yaml:3:29: workflowPods.namespaces[0]', 'exemptions[0].namespaces[0], a default'],
    ],
    [
      'nothing that means operator',
      `${head}nodes:\n  types: {operator: null}\n  operatorTaints: []\n`,
      ['nodes.types', 'nodes.operatorTaints, line 5', 'nothing means operator'],
    ],
    [
      'no last profile that matches every pod',
      `${head}profiles:\n  - {name: a, match: {platforms: ["x"]}, tolerations: []}\n`,
      ['profiles[0].match', 'must match every pod'],
    ],
    [
      'a profile that is never reached',
      `${head}profiles:\n  - {name: a, match: {}, tolerations: []}\n  - {name: b, match: {}, tolerations: []}\n`,
      ['profiles[0].match', 'never used'],
    ],
    [
      'two profiles of one name',
      `${head}profiles:\n  - {name: a, match: {platforms: [x]}, tolerations: []}\n  - {name: a, match: {}, tolerations: []}\n`,
      ['two profiles are called a'],
    ],
    [
      'a profile for operator nodes',
      `${head}profiles:\n  - {name: a, match: {}, nodeType: operator, tolerations: []}\n`,
      ['sends workflow pods to operator nodes'],
    ],
    [
      'a profile whose type no label value means',
      `${head}profiles:\n  - {name: a, match: {}, nodeType: shared, tolerations: []}\n`,
      ['no label value means shared'],
    ],
    [
      'a profile whose pods would match an earlier one after injection',
      `${head}profiles:\n  - {name: a, match: {nodeTypes: [gpu]}, tolerations: []}\n  - {name: b, match: {resources: [x]}, nodeType: gpu, tolerations: []}\n  - {name: c, match: {}, tolerations: []}\n`,
      ['profiles[1].nodeType', 'profiles[0].match.nodeTypes, line 4'],
    ],
    [
      'a device class of two profiles',
      `${head}profiles:\n  - {name: a, match: {deviceClasses: [x]}, tolerations: []}\n  - {name: b, match: {deviceClasses: [y, x]}, tolerations: []}\n  - {name: c, match: {}, tolerations: []}\n`,
      ['profiles[1].match.deviceClasses[1]', 'profiles[0].match.deviceClasses, line 4', 'never b'],
    ],
    [
      'an exemption by podSelector alone',
      `${head}exemptions:\n  - {reason: x, podSelector: {a: b}}\n`,
      ['podSelector alone is refused'],
    ],
    ['an exemption that names nobody', `${head}exemptions:\n  - {reason: x, rules: [placement]}\n`, ['names nobody']],
    [
      'an exemption of nodes and namespaces',
      `${head}exemptions:\n  - {reason: x, nodes: [n], namespaces: [a]}\n`,
      ['not both'],
    ],
    [
      'a taint for operator nodes that is no operator taint',
      `${head}rules:\n  node-conformance:\n    taintOperatorNodes: {key: dedicated, value: operator, effect: NoSchedule}\n`,
      ['rules.node-conformance.taintOperatorNodes', 'nodes.operatorTaints, a default'],
    ],
    [
      'a toleration that Kubernetes would refuse in every pod',
      `${head}profiles:\n  - {name: a, match: {}, tolerations: [{key: k, operator: Exists, value: v}]}\n`,
      ['profiles[0].tolerations[0].value', 'operator Exists has no value'],
    ],
    [
      'tolerationSeconds without NoExecute',
      `${head}profiles:\n  - {name: a, match: {}, tolerations: [{key: k, effect: NoSchedule, tolerationSeconds: 5}]}\n`,
      ['profiles[0].tolerations[0].tolerationSeconds', 'goes with effect NoExecute'],
    ],
    [
      'no container runtime',
      `${head}rules:\n  node-conformance:\n    runtimes: {containerd: null}\n`,
      ['no container runtime is allowed'],
    ],
    [
      'a taint for workflow pods alone that marks operator nodes too',
      `${head}rules:\n  reserved-nodes: {taints: [{key: dedicated}, {key: node-type}]}\n`,
      [
        'policy.yaml:4:47: rules.reserved-nodes.taints[1]',
        'nodes.operatorTaints[1], a default',
        'node-type would mark',
      ],
    ],
    [
      'one that Kubernetes lets pods tolerate by itself',
      `${head}rules:\n  reserved-nodes: {taints: [{key: node.kubernetes.io/not-ready}]}\n`,
      ['rules.reserved-nodes.taints[0].key', 'a taint of the node lifecycle'],
    ],
    [
      'reserved nodes without a taint that reserves them',
      `${head}rules:\n  reserved-nodes: {enforcement: audit}\n`,
      [
        'rules.reserved-nodes.enforcement',
        'rules.reserved-nodes.taints, a default',
        'nothing would be refused under audit',
      ],
    ],
  ];
  for (const [name, text, parts] of cases) {
    it(name, () => {
      const message = refusal(text);
      for (const part of parts) expect(message).toContain(part);
    });
  }

  it('but a taint of the operator taints’ key with another value, or other effects, is fine', () => {
    for (const taints of ['[{key: node-type, value: gpu}]', '[{key: ops, effects: [NoExecute]}]']) {
      const nodes = 'nodes: {operatorTaints: [{key: ops, effects: [NoSchedule]}, {key: node-type, value: operator}]}';
      const text = `${head}${nodes}\nrules: {reserved-nodes: {enforcement: enforce, taints: ${taints}}}\n`;
      expect(() => parsePolicy(text, 'p')).not.toThrow();
    }
  });

  it('but an exemption of a service account in a workflow namespace is fine', () => {
    expect(() =>
      parsePolicy(
        `${head}exemptions:\n  - {reason: x, namespaces: [osmo-workflows], serviceAccounts: [ops/bot]}\n`,
        'p',
      ),
    ).not.toThrow();
  });
});
