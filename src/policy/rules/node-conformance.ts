import { conformanceId, controlPlaneCeiling, needsText, newViolations, violations } from '../facts/conformance.ts';
import type { Fact } from '../facts/fact.ts';
import { guideText } from '../facts/guide.ts';
import { factsOf } from '../facts/index.ts';
import { type Reason, reasons } from '../facts/reasons.ts';
import { type ConformanceSettings, conformanceDefaults, conformanceSchema } from '../facts/settings.ts';
import { clip } from '../kube/text.ts';
import type { Edit } from '../model/edit.ts';
import type { Ceiling, Finding } from '../model/finding.ts';
import type { Node } from '../model/node.ts';
import type { CompiledPolicy, Policy } from '../model/policy.ts';
import { isSurelyNew, type NodeLookup } from '../model/snapshot.ts';
import { operatorTaintOf, typeOf } from '../model/view.ts';
import { type Contradiction, defineRule, nothing, type ReasonText, type RuleResult } from '../rule.ts';
import { needsRegisteringNode, nodeCreates, nodeUpdates } from './node-requests.ts';

/*
 * Holds a node that registers against every requirement of the on-prem backend guide that a Node object can show.
 *
 * Read fields: metadata.labels, spec.taints, status.capacity, status.addresses, status.nodeInfo, status.conditions (Ready).
 * A violation denies only a node that is surely new: a kubelet that restarts posts CREATE too, and denying an existing node
 * breaks it. A node that exists, or may exist, is warned.
 */

const id = conformanceId;

export const nodeConformance = defineRule<ConformanceSettings, ConformanceSettings>({
  id,
  summary: 'A node that registers must meet the requirements of the on-prem backend guide for its type.',
  // A later change is never refused, and never patched.
  on: [nodeCreates, ...nodeUpdates({ phases: ['validate'], changes: ['labels', 'taints'] })],
  settings: { defaults: conformanceDefaults, schema: conformanceSchema },
  reasons: withGuide({
    'kubernetes-version': text(
      'The kubelet is older than the guide allows.',
      'Upgrade the kubelet: its package, or the k3s, RKE2 or EKS image that brings it; the control plane first.',
    ),
    architecture: text(
      'The machine’s architecture is not allowed for its node type.',
      'Use a machine of that architecture, or another node type.',
    ),
    'container-runtime': text(
      'The container runtime is not allowed, or too old.',
      'Install a listed runtime at its minimum version (package containerd.io or containerd), or a k3s or RKE2 that brings it.',
    ),
    'os-image': text(
      'The operating system is a listed one and too old.',
      'Upgrade the operating system. An image that no prefix names is unknown and never refused.',
    ),
    cpu: text('Fewer cores than the node’s type needs.', 'Use a larger machine, or change minimums.'),
    memory: text(
      'Less memory than the node’s type needs, the shortfall allowed for.',
      'Use a larger machine, or change minimums.',
    ),
    disk: text(
      'Less ephemeral storage than the node’s type needs, the shortfall allowed for.',
      'Use a larger disk, or change minimums.',
    ),
    'node-type': text(
      'The node-type label has a value that the policy does not list.',
      'Use a listed value, or list this one under nodes.types.',
    ),
    'type-facts': text(
      'What the machine shows contradicts its type: a tegra kernel on a gpu node, or a jetson node without one.',
      'Label the node by what it is.',
    ),
    address: text(
      'The InternalIP is loopback, link-local, missing on a Ready node, or differs from the one before.',
      'Give the node a static, routable address.',
    ),
    'dns-name': text(
      'The Hostname is localhost, an IP address, or no RFC 1123 name.',
      'Give the machine a name that resolves.',
    ),
    driver: text(
      'The NVIDIA driver, as feature discovery labels it, is too old.',
      'Install a newer driver; with the GPU operator, by its driver.version. Labels that are not there yet are unknown, never a violation.',
    ),
    cuda: text(
      'The CUDA toolkit, as the configured label states it, is too old.',
      'Install a newer toolkit (package cuda-toolkit-12-6, or later). Without a toolkitLabel this reason never violates.',
    ),
    jetpack: text(
      'JetPack, as the configured label states it, is too old.',
      'Flash a newer JetPack (NVIDIA SDK Manager). Without a label this reason never violates.',
    ),
    'operator-untainted': text(
      'A node of type operator bears no operator taint.',
      'Taint the node, or set taintOperatorNodes.',
    ),
  }),
  compile: (settings) => settings,
  check,
  lacks: ({ enforcement, cuda, jetpack }) => [
    ...(enforcement.cuda !== 'off' && cuda.toolkitLabel === ''
      ? [
          {
            path: ['rules', id, 'cuda', 'toolkitLabel'],
            message: `is empty: an installed CUDA toolkit older than ${cuda.minimum} is not seen; name a label that states it`,
          },
        ]
      : []),
    ...(enforcement.jetpack !== 'off' && jetpack.label === '' && jetpack.l4tLabel === ''
      ? [
          {
            path: ['rules', id, 'jetpack', 'label'],
            message: `and l4tLabel are empty: a JetPack older than ${jetpack.minimum} is not seen, since no standard label states it; name the one that your provisioning sets`,
          },
        ]
      : []),
  ],
  enforcement: (settings, reason) => (isReason(reason) ? settings.enforcement[reason] : 'enforce'),
  needs: needsRegisteringNode,
  phases: ({ taintOperatorNodes }) => (taintOperatorNodes === null ? ['validate'] : ['mutate', 'validate']),
  judges: (subject) => subject.kind === 'node',
  evaluate({ phase, subject, policy, lookups }, settings): RuleResult {
    if (subject.kind !== 'node') return nothing;
    if (phase === 'mutate') {
      return { findings: [], edits: taintOperator(subject.node, policy, settings), notes: [] };
    }
    if (subject.old !== undefined) return laterChange(subject.node, subject.old, policy);
    const lookup = lookups.nodes.get(subject.node.name) ?? { state: 'offline' };
    const previous = lookup.state === 'found' ? lookup.node : undefined;
    const atMost = ceilingOf(subject.node, lookup, policy);
    const findings = violations(factsOf(subject.node, policy, settings, previous)).map((fact) =>
      toFinding(fact, subject.node, policy, atMost),
    );
    const notes = lookup.state === 'offline' ? ['no live nodes are given: judged as a first registration'] : [];
    return { findings, edits: [], notes };
  },
});

/** A node that exists and changes: what it violates now and did not before is warned of, whoever changes it. */
function laterChange(node: Node, old: Node, policy: CompiledPolicy): RuleResult {
  const ceiling = ceilingOf(node, { state: 'found', node: old }, policy);
  return {
    findings: newViolations(node, old, policy).map((fact) => toFinding(fact, node, policy, ceiling)),
    edits: [],
    notes: [],
  };
}

function text(summary: string, fix: string): ReasonText {
  return { summary, fix };
}

/** Every text with the rows of the guide that ask for it. */
function withGuide(texts: Readonly<Record<Reason, ReasonText>>): Readonly<Record<Reason, ReasonText>> {
  return Object.fromEntries(
    reasons.map((reason) => [reason, { ...texts[reason], guide: guideText(reason) }]),
  ) as Record<Reason, ReasonText>;
}

function isReason(reason: string): reason is Reason {
  return (reasons as readonly string[]).includes(reason);
}

/** A node of type operator without an operator taint gets the configured one. */
function taintOperator(node: Node, policy: CompiledPolicy, settings: ConformanceSettings): readonly Edit[] {
  const taint = settings.taintOperatorNodes;
  if (taint === null) return [];
  if (typeOf(node, policy) !== 'operator' || operatorTaintOf(node, policy) !== undefined) return [];
  return [{ edit: 'addTaint', taint }];
}

/** The lowest of: warn for a node that exists or may exist, and the control plane's own ceiling. */
function ceilingOf(node: Node, lookup: NodeLookup, policy: CompiledPolicy): Ceiling | undefined {
  const controlPlane = controlPlaneCeiling(node, policy);
  if (controlPlane === 'audit') return 'audit';
  return isSurelyNew(lookup) ? controlPlane : 'warn';
}

function toFinding(fact: Fact, node: Node, policy: CompiledPolicy, atMost: Ceiling | undefined): Finding {
  const has = fact.has === '' ? 'missing' : fact.has;
  return {
    rule: id,
    reason: fact.reason,
    field: fact.field,
    message: `${fact.field} of node ${clip(node.name, 64)} is ${has}, needs ${needsText(fact, node, policy)}: ${fact.fix}`,
    short: `${fact.reason}: has ${fact.has === '' ? 'none' : fact.has}, needs ${fact.needs}`,
    ...(atMost !== undefined && { atMost }),
  };
}

function check(settings: ConformanceSettings, policy: Policy): readonly Contradiction[] {
  return [...checkTaint(settings, policy), ...checkRuntimes(settings)];
}

function checkRuntimes({ runtimes }: ConformanceSettings): readonly Contradiction[] {
  if (Object.keys(runtimes).length > 0) return [];
  return [
    {
      path: ['rules', id, 'runtimes'],
      message:
        'no container runtime is allowed, so every node would violate: name one, or set enforcement.container-runtime to off',
    },
  ];
}

/** `taintOperatorNodes` must mark what it is put on. */
function checkTaint(settings: ConformanceSettings, policy: Policy): readonly Contradiction[] {
  const taint = settings.taintOperatorNodes;
  if (taint === null) return [];
  const marks = policy.nodes.operatorTaints.some(
    ({ key, value, effects = ['NoSchedule', 'NoExecute'] }) =>
      key === taint.key && (value === undefined || value === (taint.value ?? '')) && effects.includes(taint.effect),
  );
  if (marks) return [];
  return [
    {
      path: ['rules', id, 'taintOperatorNodes'],
      other: ['nodes', 'operatorTaints'],
      message:
        'the taint is none of nodes.operatorTaints, so a node that bears it would still count as untainted: add it there, or use one that is there',
    },
  ];
}
