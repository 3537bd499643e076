import { label } from '../kube/labels.ts';
import { describeTaint } from '../kube/taint.ts';
import { clip } from '../kube/text.ts';
import type { Enforcement, Finding } from '../model/finding.ts';
import type { Node } from '../model/node.ts';
import type { CompiledPolicy } from '../model/policy.ts';
import { type AdmissionRequest, isKubelet, serviceAccountUser } from '../model/request.ts';
import { isOperatorNode, operatorTaintsOf } from '../model/view.ts';
import { defineRule, enforcementSchema, nothing, type RuleResult } from '../rule.ts';
import { nodeCreates, nodeUpdates } from './node-requests.ts';

/*
 * Who may say what a node is for: its type label and its operator taints.
 *
 * Read fields: metadata.labels[nodes.typeLabel], spec.taints, before and after; the requester's name and groups.
 * A kubelet (group system:nodes, kubernetes.io/docs/reference/access-authn-authz/node) may give its node a type once, at registration.
 * NodeRestriction leaves node-type to the kubelet afterwards, too, by nodes and by nodes/status: a node that is broken into could draw
 * workflows to itself or off itself. It refuses taints after registration itself.
 *
 * Edited: the type label that a kubelet changes is put back by mutation, so that its request passes: k3s and RKE2 agents write the labels of
 * their configuration over the node at each start, and do not come up where that is refused. Validation denies what is still changed then.
 * Allowed: every writer of the policy, the webhook's own service account; taints that are
 * no operator taints, as of cordon and the node lifecycle.
 */

interface Settings {
  readonly enforcement: Exclude<Enforcement, 'quarantine'>;
  readonly others: Exclude<Enforcement, 'quarantine'>;
  readonly writers: Writers;
}

interface Writers {
  readonly users: readonly string[];
  readonly groups: readonly string[];
  /** `namespace/name`. */
  readonly serviceAccounts: readonly string[];
}

interface Compiled {
  readonly users: ReadonlySet<string>;
  readonly groups: ReadonlySet<string>;
}

const id = 'node-identity';

const names = (description: string, item: Readonly<Record<string, unknown>> = {}): object => ({
  type: 'array',
  items: { type: 'string', minLength: 1, ...item },
  uniqueItems: true,
  description,
});

export const nodeIdentity = defineRule<Settings, Compiled>({
  id,
  summary: 'A kubelet sets its node’s type once, at registration; type and operator taints change by listed writers.',
  on: [
    { ...nodeCreates, phases: ['validate'] },
    ...nodeUpdates({ phases: ['mutate'], changes: ['labels'] }),
    ...nodeUpdates({ phases: ['validate'], changes: ['labels', 'taints'] }),
  ],
  settings: {
    defaults: {
      enforcement: 'enforce',
      others: 'warn',
      writers: { users: [], groups: ['system:masters', 'kubeadm:cluster-admins'], serviceAccounts: [] },
    },
    schema: {
      type: 'object',
      additionalProperties: false,
      description: 'Who may set a node’s type and operator taints.',
      properties: {
        enforcement: enforcementSchema(
          ['enforce', 'warn', 'audit', 'off'],
          'For kubelets that change the type or the operator taints of a node: enforce = the type is put back, and what cannot be is denied; off switches the whole rule off.',
        ),
        others: enforcementSchema(
          ['enforce', 'warn', 'audit', 'off'],
          'For everybody else who is no writer: autoscalers, feature discovery, cloud controllers, other admins.',
        ),
        writers: {
          type: 'object',
          additionalProperties: false,
          description: 'Who may always do it.',
          properties: {
            users: names('User names, exact.'),
            groups: names('Groups, exact.'),
            serviceAccounts: names('Service accounts as namespace/name.', { pattern: '^[^/]+/[^/]+$' }),
          },
        },
      },
    },
  },
  reasons: {
    'kubelet-type': {
      summary:
        'A kubelet changes its node’s type after registration. The mutating webhook puts the type back and the request passes; denied where that did not run.',
      fix: 'Take the label out of the kubelet’s configuration (--node-labels, node-label of k3s and RKE2), or write there what the node is. Let a writer of the policy label the node, or delete the node and let it register with the type that it should have.',
    },
    'kubelet-taint': {
      summary: 'A kubelet adds or removes an operator taint of its node after registration.',
      fix: 'Let a writer of the policy taint the node.',
    },
    'kubelet-operator': {
      summary: 'A kubelet registers its node as an operator node. Reported only: the guide lets it.',
      fix: 'Nothing, if the machine is meant to be an operator node; else delete the node and look at who started its kubelet.',
    },
    'other-type': {
      summary: 'Somebody who is no writer of the policy sets or changes a node’s type.',
      fix: 'List who it is under rules.node-identity.writers, or exempt them, if they should; then set others to enforce.',
    },
    'other-taint': {
      summary: 'Somebody who is no writer of the policy adds or removes an operator taint.',
      fix: 'List who it is under rules.node-identity.writers, or exempt them, if they should; then set others to enforce.',
    },
  },
  compile: ({ writers }) => ({
    users: new Set([...writers.users, ...writers.serviceAccounts.map(serviceAccountUser)]),
    groups: new Set(writers.groups),
  }),
  check: () => [],
  lacks: ({ enforcement, others }) =>
    enforcement === 'off' || others === 'enforce'
      ? []
      : [
          {
            path: ['rules', id, 'others'],
            message: `is ${others}: whoever may write nodes may also change what they are for; list the writers, then set it to enforce`,
          },
        ],
  enforcement: ({ enforcement, others }, reason) => (reason.startsWith('other-') ? others : enforcement),
  needs: () => [],
  phases: () => ['mutate', 'validate'],
  judges: (subject) => subject.kind === 'node',
  evaluate({ phase, request, subject, policy, view }, writers): RuleResult {
    if (subject.kind !== 'node' || isWriter(request, writers) || request.requester.username === policy.ownUser) {
      return nothing;
    }
    // Offline nobody says who registers the node; every real request has a user.
    if (request.requester.username === '') return nothing;
    const { node, old } = subject;
    const kubelet = isKubelet(request.requester);
    if (phase === 'mutate') return kubelet && old !== undefined ? putBack(node, old, policy) : nothing;
    if (kubelet && old === undefined) {
      return { findings: registration(node, policy, view.nodes.get(node.name)), edits: [], notes: [] };
    }
    return { findings: changes(node, old, kubelet, request, policy), edits: [], notes: [] };
  },
});

function isWriter({ requester }: AdmissionRequest, { users, groups }: Compiled): boolean {
  return users.has(requester.username) || requester.groups.some((group) => groups.has(group));
}

/** A kubelet that restarts registers again: only one that makes an operator node of it is told of. */
function registration(node: Node, policy: CompiledPolicy, known: Node | undefined): readonly Finding[] {
  if (!isOperatorNode(node, policy) || (known !== undefined && isOperatorNode(known, policy))) return [];
  return [
    {
      rule: id,
      reason: 'kubelet-operator',
      field: `metadata.labels[${policy.policy.nodes.typeLabel}]`,
      message: `node ${clip(node.name, 64)} registers as an operator node, which its kubelet alone says: make sure that the machine is meant to be one`,
      short: `node ${clip(node.name, 40)} registers as an operator node`,
      atMost: 'warn',
    },
  ];
}

/** Where it would be denied, the type that a kubelet changed is what it was; told of here, for validation sees no change any more. */
function putBack(node: Node, old: Node, policy: CompiledPolicy): RuleResult {
  const { typeLabel } = policy.policy.nodes;
  const [before, after] = [label(old.labels, typeLabel), label(node.labels, typeLabel)];
  if (before === after || policy.enforcementOf(id, 'kubelet-type') !== 'enforce') return nothing;
  const field = `metadata.labels[${typeLabel}]`;
  return {
    findings: [
      {
        rule: id,
        reason: 'kubelet-type',
        field,
        message: `${field} of node ${clip(node.name, 64)} was changed from ${typeText(before)} to ${typeText(after)} by its kubelet, which may set it once, at registration: it is put back`,
        short: `${typeLabel} of node ${clip(node.name, 40)} is put back`,
        atMost: 'audit',
      },
    ],
    edits: [
      before === undefined
        ? { edit: 'removeLabel', key: typeLabel }
        : { edit: 'setLabel', key: typeLabel, value: before },
    ],
    notes: [],
  };
}

function changes(
  node: Node,
  old: Node | undefined,
  kubelet: boolean,
  { requester }: AdmissionRequest,
  policy: CompiledPolicy,
): readonly Finding[] {
  const { typeLabel } = policy.policy.nodes;
  const who = clip(requester.username, 80);
  const may = kubelet
    ? 'a kubelet may set it once, at registration: let a writer of the policy do it'
    : `${who} is no writer of the policy: list it under rules.${id}.writers, or exempt it, if it should be`;
  const findings: Finding[] = [];
  const [before, after] = [old === undefined ? undefined : label(old.labels, typeLabel), label(node.labels, typeLabel)];
  if (before !== after) {
    const change = `${typeText(before)} to ${typeText(after)}`;
    findings.push({
      rule: id,
      reason: kubelet ? 'kubelet-type' : 'other-type',
      field: `metadata.labels[${typeLabel}]`,
      message: `metadata.labels[${typeLabel}] of node ${clip(node.name, 64)} changes from ${change}; ${may}`,
      short: `${typeLabel} of node ${clip(node.name, 30)} changes from ${change} by ${clip(who, 40)}`,
    });
  }
  const taints = taintChanges(node, old, policy);
  if (taints.length > 0) {
    findings.push({
      rule: id,
      reason: kubelet ? 'kubelet-taint' : 'other-taint',
      field: 'spec.taints',
      message: `spec.taints of node ${clip(node.name, 64)}: ${taints.join(', ')}; ${may}`,
      short: `operator taint of node ${clip(node.name, 30)} ${clip(taints[0] ?? '', 40)} by ${clip(who, 30)}`,
    });
  }
  return findings;
}

function typeText(value: string | undefined): string {
  return value === undefined ? 'none' : JSON.stringify(clip(value, 40));
}

function taintChanges(node: Node, old: Node | undefined, policy: CompiledPolicy): readonly string[] {
  const taintsOf = (of: Node | undefined): readonly string[] =>
    of === undefined ? [] : operatorTaintsOf(of, policy).map(describeTaint);
  const [before, after] = [taintsOf(old), taintsOf(node)];
  return [
    ...after.filter((taint) => !before.includes(taint)).map((taint) => `${taint} added`),
    ...before.filter((taint) => !after.includes(taint)).map((taint) => `${taint} removed`),
  ];
}
