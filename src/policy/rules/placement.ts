import { label } from '../kube/labels.ts';
import type { Requirement } from '../kube/node-selector.ts';
import { describeToleration } from '../kube/taint.ts';
import { clip } from '../kube/text.ts';
import type { Edit } from '../model/edit.ts';
import type { Finding } from '../model/finding.ts';
import type { Workload } from '../model/placement.ts';
import type { CompiledPolicy } from '../model/policy.ts';
import { termsPath } from '../model/read-pod.ts';
import { isTemplate } from '../model/request.ts';
import type { ClusterView } from '../model/view.ts';
import { checkProfiles } from '../placement/check-profiles.ts';
import { clausesOf, exclusionEdits, exclusionOf, maxPatchedTerms, type Placed, place } from '../placement/place.ts';
import { claimedClass, platformLabel } from '../placement/profile.ts';
import { unknownClaims } from '../placement/unknown-claims.ts';
import { type Contradiction, defineRule, enforcementSchema, nothing, type RuleResult } from '../rule.ts';
import { templateEnforcement, templateMatches, withCeiling } from '../templates.ts';
import { isMirrorPod, isWorkflowSubject } from '../workflow-pod.ts';

/*
 * Sends workflow pods to the nodes they are meant for (the guide's rows "Node Labels" and "Taints" of compute nodes): injects the
 * matching profile's nodeSelector and tolerations, and into every workflow pod the exclusion of operator nodes.
 *
 * Edited fields: spec.nodeSelector, spec.tolerations, spec.affinity.nodeAffinity (required terms). Only ever added to.
 * The mutating pass never denies; what it could not do is reported by the validating pass.
 */

interface Settings {
  readonly enforcement: 'enforce' | 'warn' | 'audit' | 'off';
  readonly skipSchedulers: readonly string[];
}

interface Compiled {
  readonly skipSchedulers: ReadonlySet<string>;
}

const id = 'placement';

export const placement = defineRule<Settings, Compiled>({
  id,
  summary:
    'Each workflow pod gets the nodeSelector and tolerations of its profile, and the exclusion of operator nodes.',
  on: [
    { group: '', resource: 'pods', operations: ['CREATE'] },
    // A pod that waits behind a gate may still be tightened, and is looked at as the last one goes; any other placement is final.
    { group: '', resource: 'pods', operations: ['UPDATE'], changes: ['placement'] },
    ...templateMatches,
  ],
  settings: {
    defaults: { enforcement: 'enforce', skipSchedulers: [] },
    schema: {
      type: 'object',
      additionalProperties: false,
      description: 'Injects selector, tolerations and exclusion into workflow pods.',
      properties: {
        enforcement: enforcementSchema(
          ['enforce', 'warn', 'audit', 'off'],
          'enforce = patch, and deny a conflict; warn and audit = patch nothing and report what is missing.',
        ),
        skipSchedulers: {
          type: 'array',
          items: { type: 'string', minLength: 1 },
          uniqueItems: true,
          description: 'Names of schedulers whose pods get no selector and no tolerations; the exclusion always.',
        },
      },
    },
  },
  reasons: {
    conflict: {
      summary: 'The pod’s own nodeSelector or required affinity rules out the node type that its profile needs.',
      fix: 'Remove the node-type constraint from the pod, or ask for what that node type offers. The message names the profile and why it was chosen.',
    },
    'no-node': {
      summary: 'No live node has the type that the pod’s profile needs, and the profile says whenNoNodeMatches: deny.',
      fix: 'Add a node of that type, label an existing one, or set whenNoNodeMatches to auto, inject or skip.',
    },
    'selector-left-out': {
      summary:
        'No live node has the type that the pod’s profile needs, so the selector was left out (whenNoNodeMatches).',
      fix: 'Label the nodes that should run such pods with their node type.',
    },
    'only-operator-nodes': {
      summary: 'Every live node is an operator node, so the exclusion leaves the pod nowhere to run.',
      fix: 'Add compute, gpu or jetson nodes; on a single-machine cluster map the node’s label value to shared (nodes.types).',
    },
    'claim-unknown': {
      summary:
        'The pod refers to a resource claim that is not there yet or cannot be read, so it was placed as one that claims no device.',
      fix: 'Create the ResourceClaimTemplate or ResourceClaim before the pod; where it is there, see the line claims of /readyz.',
    },
    'too-many-terms': {
      summary:
        'More required node affinity terms lack what placement would inject than it adds to, so nothing was added to any.',
      fix: 'Use fewer terms: one In requirement with many values selects what many terms with one value each do. Or write the expressions that the message names into every term.',
    },
    'not-injected': {
      summary:
        'The pod lacks what placement would inject: placement does not patch under this enforcement, or the patch was skipped or undone.',
      fix: 'Set placement to enforce, or write the listed fields into the pod.',
    },
  },
  compile: (settings) => ({ skipSchedulers: new Set(settings.skipSchedulers) }),
  check: (_settings, policy): readonly Contradiction[] => checkProfiles(policy),
  enforcement: (settings) => settings.enforcement,
  needs: () => [],
  // Also where it only reports: a policy that is switched to enforce by a reload must find the mutating webhook there.
  phases: () => ['mutate', 'validate'],
  judges: (subject, policy) => subject.kind === 'pod' && isWorkflowSubject(subject, policy),
  evaluate({ phase, request, subject, policy, view }): RuleResult {
    if (subject.kind !== 'pod' || isMirrorPod(subject.pod, request)) return nothing;
    const { pod, old } = subject;
    if (phase === 'mutate') {
      if (policy.enforcementOf(id, '') !== 'enforce') return nothing;
      if (old === undefined) return { findings: [], edits: placeWorkload(pod, policy, view).edits, notes: [] };
      return { findings: [], edits: old.gated ? (exclusionEdits(pod.placement, policy) ?? []) : [], notes: [] };
    }
    if (old !== undefined && !isTemplate(pod)) {
      // Without its gates the scheduler takes it up as it stands; what else placement has to say was said at its creation.
      const isOpen = old.gated && !pod.gated && exclusionEdits(pod.placement, policy) === undefined;
      return { findings: isOpen ? [tooManyTerms(pod, clausesOf(policy))] : [], edits: [], notes: [] };
    }
    const findings = report(pod, placeWorkload(pod, policy, view), policy, view);
    if (!isTemplate(pod)) return { findings, edits: [], notes: [] };
    // The pods of a template are placed when they are made.
    return {
      findings: findings
        .filter(({ reason }) => reason !== 'not-injected' || policy.enforcementOf(id, '') !== 'enforce')
        .map((finding) => withCeiling(finding, templateEnforcement(policy))),
      edits: [],
      notes: [],
    };
  },
});

/** Places a workflow pod by the policy: what this rule does, and what the guard judges where this rule only reports. */
export function placeWorkload(pod: Workload, policy: CompiledPolicy, view: ClusterView): Placed {
  const compiled = policy.settings.get(id) as Compiled;
  return place(pod, policy, compiled.skipSchedulers, view);
}

function report(pod: Workload, placed: Placed, policy: CompiledPolicy, view: ClusterView): readonly Finding[] {
  const findings: Finding[] = [];
  const { profile } = placed.profile;
  const { typeLabel } = policy.policy.nodes;
  const wanted = `${typeLabel}=${placed.profile.values.join('|')}`;
  const spec = `${pod.path}spec`;
  if (placed.conflict) {
    const pinned = Object.hasOwn(pod.placement.nodeSelector, typeLabel);
    const field = pinned ? `${spec}.nodeSelector[${typeLabel}]` : `${spec}.affinity.nodeAffinity`;
    findings.push({
      rule: id,
      reason: 'conflict',
      field,
      message: `${field} rules out ${wanted}, which the profile ${profile.name} needs (${whyProfile(pod, placed, view)}): remove it, or select ${wanted}`,
      short: `${field} rules out ${wanted}, needed by profile ${profile.name}`,
    });
  }
  if (profile.nodeType !== undefined && profile.whenNoNodeMatches === 'deny' && view.state === 'synced') {
    if (!view.hasType(profile.nodeType)) {
      findings.push({
        rule: id,
        reason: 'no-node',
        field: `${spec}.nodeSelector`,
        message: `no live node has ${wanted}, which the profile ${profile.name} needs (${whyProfile(pod, placed, view)}): add or label such a node`,
        short: `no live node has ${wanted} (profile ${profile.name})`,
      });
    }
  }
  if (placed.leftOut !== undefined) {
    const because =
      placed.leftOut.why === 'offered-elsewhere'
        ? `node ${clip(placed.leftOut.node?.name ?? '', 40)} offers what the pod asks for`
        : 'whenNoNodeMatches is skip';
    findings.push({
      rule: id,
      reason: 'selector-left-out',
      field: `${spec}.nodeSelector`,
      message: `no live node has ${wanted}, so the selector of profile ${profile.name} is left out: ${because}; label the nodes that should run such pods with ${wanted}`,
      short: `no node has ${wanted}: selector left out`,
      atMost: 'warn',
    });
  }
  if (view.known && exclusionOf(policy) !== undefined && view.onlyOperatorNodes()) {
    findings.push({
      rule: id,
      reason: 'only-operator-nodes',
      field: `${spec}.affinity`,
      message: `every live node is an operator node, so the pod can run nowhere: add a node of another type, or map the node's ${typeLabel} value to shared under nodes.types of the policy file`,
      short: 'every live node is an operator node: map its type to "shared" or add nodes',
      atMost: 'warn',
    });
  }
  const unknown = unknownClaims(pod, placed.profile, policy, view.classesOf);
  if (unknown !== undefined) {
    const { first, count, why, missed } = unknown;
    const name = `${first.kind} ${clip(first.name, 63)}`;
    const more = count > 1 ? ` and ${count - 1} more` : '';
    findings.push({
      rule: id,
      reason: 'claim-unknown',
      field: `${spec}.resourceClaims`,
      message: `${name}${more} in namespace ${clip(pod.namespace, 63)} is unknown (${clip(why, 128)}), so the pod is placed by profile ${profile.name}: if the claim asks for a device class of profile ${missed.profile.name}, create it before the pod`,
      short: `${first.kind} ${clip(first.name, 32)}${more} unknown: not placed as ${missed.profile.name}`,
      atMost: 'warn',
    });
  }
  if (placed.tooManyTerms !== undefined) findings.push(tooManyTerms(pod, placed.tooManyTerms));
  if (placed.edits.length > 0) {
    const more = placed.edits.length > maxListedEdits ? `; and ${placed.edits.length - maxListedEdits} more` : '';
    const list = placed.edits.slice(0, maxListedEdits).map(describeEdit).join('; ') + more;
    findings.push({
      rule: id,
      reason: 'not-injected',
      field: spec,
      message: `placement (profile ${profile.name}) would add: ${list}`,
      short: `profile ${profile.name} would add ${placed.edits.length} field${placed.edits.length === 1 ? '' : 's'} to the pod`,
      // Under enforce the guard answers for a missing exclusion; the rest is for the record.
      atMost: policy.enforcementOf(id, '') === 'enforce' ? 'audit' : 'warn',
    });
  }
  return findings;
}

/** @param wanted what more terms lack than are patched. */
function tooManyTerms({ path, placement: { terms } }: Workload, wanted: readonly Requirement[]): Finding {
  const field = `${path}spec.${termsPath}`;
  return {
    rule: id,
    reason: 'too-many-terms',
    field,
    message: `${field} has ${terms?.length} terms, more than ${maxPatchedTerms} of which lack what placement injects, so nothing was added to them: use fewer terms (one In with many values instead of many terms), or write ${wanted.map(describeExpression).join(' and ')} into each`,
    short: `more than ${maxPatchedTerms} node affinity terms to add to`,
  };
}

/** More than any pod of OSMO needs; a pod with thousands of terms must not make a message of thousands of lines. */
const maxListedEdits = 8;

/** What made the pod match its profile, for people. */
function whyProfile(pod: Workload, placed: Placed, view: ClusterView): string {
  const resource = pod.demands.resources.find((name) => placed.profile.resources.some((glob) => glob(name)));
  if (resource !== undefined) return `it asks for ${clip(resource, 64)}`;
  const claimed = claimedClass(pod, placed.profile.profile.match.deviceClasses ?? [], view.classesOf);
  if (claimed !== undefined) return `it claims a device of class ${clip(claimed, 64)}`;
  const platform = label(pod.labels, platformLabel);
  return platform === undefined ? 'see profiles in the policy file' : `${platformLabel} is ${clip(platform, 64)}`;
}

function describeEdit(edit: Edit): string {
  switch (edit.edit) {
    case 'setNodeSelector':
      return `nodeSelector ${edit.key}=${edit.value}`;
    case 'addToleration':
      return `toleration ${describeToleration(edit.toleration)}`;
    case 'addTermExpression':
      return `node affinity ${describeExpression(edit.expression)}`;
    default:
      return edit.edit;
  }
}

function describeExpression({ key, operator, values }: Requirement): string {
  return `${key} ${operator} [${values.join(', ')}]`;
}
