import { isDaemonSetPod } from '../daemon-set.ts';
import {
  describePattern,
  isKeyless,
  overlap,
  type TaintPattern,
  type Toleration,
  toleratesSome,
} from '../kube/taint.ts';
import { isAddedTo, type MatchedTolerations, matchedTolerations } from '../matched-tolerations.ts';
import type { Ceiling, Finding } from '../model/finding.ts';
import type { Policy, TaintEntry } from '../model/policy.ts';
import { isTemplate, type PodSubject } from '../model/request.ts';
import {
  type Contradiction,
  defineRule,
  enforcementSchema,
  type Lack,
  nothing,
  type RuleInput,
  type RuleResult,
} from '../rule.ts';
import { taintPatterns, taintsSchema } from '../taint-patterns.ts';
import { templateEnforcement, templateMatches, withCeiling } from '../templates.ts';
import { isMirrorPod, isWorkflowPod } from '../workflow-pod.ts';

/*
 * Nodes for workflow pods alone (the guide's row "Compute Nodes: Taints optional, to ensure only osmo workflow pods are scheduled and no operator
 * or system workloads are scheduled on these nodes"). The taint keeps other pods off; this rule keeps them from tolerating it.
 *
 * Restricted fields: spec.tolerations[*] of pods that are no workflow pods, and of templates of such pods.
 * Allowed: whatever matches none of the listed taints. That is so of what Kubernetes itself adds (DefaultTolerationSeconds, the DaemonSet
 * controller): its keys start with node.kubernetes.io/, which the list may not name.
 *
 * A toleration without a key, and whatever a DaemonSet makes, is recorded only: node agents (CNI, CSI, device plugins, exporters) must run on
 * every node, those of workflow pods included.
 */

interface Settings {
  readonly enforcement: 'enforce' | 'warn' | 'audit' | 'off';
  readonly taints: readonly TaintEntry[];
}

interface Compiled {
  readonly taints: readonly TaintPattern[];
}

const id = 'reserved-nodes';

/** Taints of the node lifecycle: Kubernetes adds tolerations of them to pods by itself. */
const lifecyclePrefix = 'node.kubernetes.io/';

export const reservedNodes = defineRule<Settings, Compiled>({
  id,
  summary: 'A pod that is no workflow pod must not tolerate the taints that reserve nodes for workflow pods.',
  on: [
    { group: '', resource: 'pods', operations: ['CREATE'] },
    { group: '', resource: 'pods', operations: ['UPDATE'], changes: ['tolerations'] },
    ...templateMatches,
  ],
  settings: {
    defaults: { enforcement: 'off', taints: [] },
    schema: {
      type: 'object',
      additionalProperties: false,
      description: 'Keeps other pods off nodes that are for workflow pods alone.',
      properties: {
        enforcement: enforcementSchema(
          ['enforce', 'warn', 'audit', 'off'],
          'enforce = deny, warn = allow with a warning, audit = allow and record. Tolerations without a key and pods of DaemonSets are recorded at most.',
        ),
        taints: taintsSchema('Taints of nodes that are for workflow pods alone.'),
      },
    },
  },
  reasons: {
    tolerates: {
      summary: 'A toleration of a pod that is no workflow pod matches a taint that reserves nodes for workflow pods.',
      fix: 'Remove the toleration, or narrow it to the key, value and effect of the taint that the pod really needs to tolerate. A pod that must run on those nodes is exempted in the policy file: by namespace, or by the service account or user that makes it.',
    },
    'tolerates-all': {
      summary:
        'A toleration without a key, of a pod that is no workflow pod, matches a taint that reserves nodes for workflow pods. Recorded only.',
      fix: 'Nothing, if the pod is an agent that runs on every node; else name the keys of the taints that it really needs to tolerate.',
    },
  },
  compile: ({ taints }) => ({ taints: taintPatterns(taints) }),
  tolerationKeys: ({ taints }) => taints.map(({ key }) => key),
  check,
  lacks,
  enforcement: ({ enforcement }) => enforcement,
  needs: () => [],
  phases: () => ['validate'],
  judges: (subject, policy) => subject.kind === 'pod' && podsOf(subject).every((pod) => !isWorkflowPod(pod, policy)),
  evaluate(input, { taints }): RuleResult {
    const { subject } = input;
    if (subject.kind !== 'pod') return nothing;
    const isAdded = subject.old === undefined ? () => true : isAddedTo(subject.old);
    const match = (isMeant: (toleration: Toleration) => boolean): MatchedTolerations | undefined =>
      matchedTolerations(
        subject.pod,
        taints,
        'workflow-only taint',
        (toleration) => isMeant(toleration) && isAdded(toleration),
      );
    const findings = [...tolerates(match((toleration) => !isKeyless(toleration))), ...toleratesAll(match(isKeyless))];
    const ceiling = ceilingOf(subject, input);
    return { findings: findings.map((finding) => withCeiling(finding, ceiling)), edits: [], notes: [] };
  },
});

/** A pod is judged by its labels before and after, whichever make it a workflow pod; of a template only what it says now is made. */
function podsOf({ pod, old }: PodSubject): readonly PodSubject['pod'][] {
  return old === undefined || isTemplate(pod) ? [pod] : [pod, old];
}

function ceilingOf({ pod }: PodSubject, { request, policy }: RuleInput): Ceiling | 'enforce' {
  if (isTemplate(pod)) {
    return request.resource.resource === 'daemonsets' ? 'audit' : templateEnforcement(policy);
  }
  // A true mirror pod shows what a kubelet runs already: denying it ends nothing.
  return isDaemonSetPod(pod, request) || isMirrorPod(pod, request) ? 'audit' : 'enforce';
}

const nodesAreReserved = 'nodes with it are for workflow pods alone, and this is none';

function tolerates(matched: MatchedTolerations | undefined): readonly Finding[] {
  if (matched === undefined) return [];
  const these = matched.count === 1 ? 'this toleration' : 'these tolerations';
  return [
    {
      rule: id,
      reason: 'tolerates',
      field: matched.field,
      message: `${matched.text}; ${nodesAreReserved}: remove ${these}, give key, value and effect of the taint that you mean, or have the pod exempted in the policy`,
      short: `tolerates a workflow-only taint: ${matched.field}`,
    },
  ];
}

function toleratesAll(matched: MatchedTolerations | undefined): readonly Finding[] {
  if (matched === undefined) return [];
  return [
    {
      rule: id,
      reason: 'tolerates-all',
      field: matched.field,
      message: `${matched.text}, because it names no key; ${nodesAreReserved}: name the keys of the taints that the pod needs to tolerate`,
      short: `tolerates every taint, workflow-only ones too: ${matched.field}`,
      atMost: 'audit',
    },
  ];
}

function check({ enforcement, taints }: Settings, policy: Policy): readonly Contradiction[] {
  const path = ['rules', id, 'taints'];
  // Both stand in one entry, and its default is off: whoever switches it on means some taint.
  if (enforcement !== 'off' && taints.length === 0) {
    return [
      {
        path,
        other: ['rules', id, 'enforcement'],
        message: `no taint is listed, so nothing would be refused under ${enforcement}: list the taints of the nodes that are for workflow pods alone, or set enforcement to "off"`,
      },
    ];
  }
  const operator = taintPatterns(policy.nodes.operatorTaints);
  return taintPatterns(taints).flatMap((pattern, index): Contradiction[] => {
    if (pattern.key.startsWith(lifecyclePrefix)) {
      return [
        {
          path: [...path, index, 'key'],
          message: `${pattern.key} is a taint of the node lifecycle, which Kubernetes lets pods tolerate by itself: they would be refused for it; list a taint of your own`,
        },
      ];
    }
    const same = operator.findIndex((other) => overlap(pattern, other));
    if (same === -1) return [];
    return [
      {
        path: [...path, index],
        other: ['nodes', 'operatorTaints', same],
        message: `${pattern.key} would mark operator nodes and nodes for workflow pods alone: nobody might tolerate it; give the two different keys, or values`,
      },
    ];
  });
}

/** A node that no workflow pod can use either is reserved for nobody. */
function lacks({ enforcement, taints }: Settings, { profiles }: Policy): readonly Lack[] {
  if (enforcement === 'off') return [];
  const tolerations = profiles.flatMap((profile) => profile.tolerations);
  return taintPatterns(taints).flatMap((pattern, index) =>
    tolerations.some((toleration) => toleratesSome(toleration, pattern))
      ? []
      : [
          {
            path: ['rules', id, 'taints', index],
            message: `${describePattern(pattern)} is tolerated by no profile: a workflow pod cannot use such nodes unless it brings the toleration itself; add it to the profile of those pods`,
          },
        ],
  );
}
