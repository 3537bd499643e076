import type { Requirement } from '../kube/node-selector.ts';
import { isPositiveQuantity } from '../kube/quantity.ts';
import { covers, type Toleration } from '../kube/taint.ts';
import type { Edit } from '../model/edit.ts';
import { isTegraKernel, type Node } from '../model/node.ts';
import type { Placement, Workload } from '../model/placement.ts';
import type { CompiledPolicy, CompiledProfile } from '../model/policy.ts';
import type { ClusterView } from '../model/view.ts';
import { isQuarantineOn, quarantineClause } from '../quarantine.ts';
import { alternativesOf, implies, isEmptyTerm, meetable, termHas } from './constraints.ts';

/** What placement would do to a workflow pod, and what it has to say about it. */
export interface Placed {
  readonly profile: CompiledProfile;
  readonly edits: readonly Edit[];
  /** The placement once the edits are made. */
  readonly placement: Placement;
  /** The pod's own words can be met, but not with the profile's selector: nothing but the exclusion is injected. */
  readonly conflict: boolean;
  /** Why the profile's selector is left out although the pod does not conflict with it. */
  readonly leftOut: LeftOut | undefined;
  /** What would be added to each term, where more lack some of it than are patched: nothing is added to any then. */
  readonly tooManyTerms: readonly Requirement[] | undefined;
}

/**
 * Most required node affinity terms that are added to. A patch of each takes 200 bytes and an operation that the API server applies one
 * after the other: a pod with 40,000 terms would be answered with 23 MB, and keep everybody's reviews waiting.
 */
export const maxPatchedTerms = 1_000;

export interface LeftOut {
  readonly why: 'no-node-of-type' | 'offered-elsewhere';
  /** With `offered-elsewhere`: the live node that offers what was matched. */
  readonly node?: Node;
}

/** The exclusion that every workflow pod carries; undefined where no label value means operator (operator nodes are known by taint only). */
export function exclusionOf(policy: CompiledPolicy): Requirement | undefined {
  if (policy.operatorValues.length === 0) return undefined;
  return { key: policy.policy.nodes.typeLabel, operator: 'NotIn', values: policy.operatorValues };
}

/**
 * Places a workflow pod: picks its profile (first match wins) and computes what it lacks. Pure and idempotent: placing the
 * result again yields no edits, as long as the view is the same.
 */
export function place(
  pod: Workload,
  policy: CompiledPolicy,
  skipSchedulers: ReadonlySet<string>,
  view: ClusterView,
): Placed {
  const profile = policy.profiles.find(({ matches }) => matches(pod, view.classesOf));
  // The policy file is refused without a last profile that matches every pod.
  if (profile === undefined) throw new Error('no profile matches the pod: the policy was not checked');
  const exclusion = exclusionOf(policy);
  const skipped = skipSchedulers.has(pod.demands.schedulerName);
  const selector = skipped ? undefined : selectorFor(pod.placement, policy, profile, exclusion, view);
  const expressions: Requirement[] = [];
  const edits: Edit[] = [];
  if (selector?.state === 'inject') {
    const [value] = selector.requirement.values;
    if (selector.requirement.values.length === 1 && value !== undefined) {
      edits.push({ edit: 'setNodeSelector', key: selector.requirement.key, value });
    } else {
      expressions.push(selector.requirement);
    }
  }
  if (!skipped && selector?.state !== 'conflict') {
    edits.push(...missingTolerations(pod.placement.tolerations, profile.profile.tolerations));
  }
  const wanted = [...expressions, ...clausesOf(policy)];
  const missing = missingExpressions(pod.placement, wanted);
  edits.push(...(missing ?? []));
  return {
    profile,
    edits,
    placement: applyEdits(pod.placement, edits),
    conflict: selector?.state === 'conflict',
    leftOut: selector?.state === 'leave-out' ? selector.leftOut : undefined,
    tooManyTerms: missing === undefined ? wanted : undefined,
  };
}

/** What a pod lacks of the exclusion, and nothing else; undefined where more terms lack it than are patched. */
export function exclusionEdits(placement: Placement, policy: CompiledPolicy): readonly Edit[] | undefined {
  return missingExpressions(placement, clausesOf(policy));
}

/** The exclusion's clauses: operator nodes, and marked ones while quarantine is on. */
export function clausesOf(policy: CompiledPolicy): readonly Requirement[] {
  const exclusion = exclusionOf(policy);
  return [...(exclusion === undefined ? [] : [exclusion]), ...(isQuarantineOn(policy) ? [quarantineClause] : [])];
}

type Selector =
  | { readonly state: 'inject'; readonly requirement: Requirement }
  | { readonly state: 'leave-out'; readonly leftOut: LeftOut }
  | { readonly state: 'conflict' };

/** What becomes of the profile's selector; undefined where there is nothing to add and nothing to say. */
function selectorFor(
  placement: Placement,
  policy: CompiledPolicy,
  profile: CompiledProfile,
  exclusion: Requirement | undefined,
  view: ClusterView,
): Selector | undefined {
  if (profile.profile.nodeType === undefined) return undefined;
  const key = policy.policy.nodes.typeLabel;
  if (implies(placement, key, profile.values)) return undefined;
  const requirement: Requirement = { key, operator: 'In', values: profile.values };
  const own = alternativesOf(placement, exclusion);
  // What no node can meet anyway stays as it is: a selector would only overwrite the author's words.
  if (meetable(own) === undefined) return undefined;
  if (meetable(own, requirement) === undefined) {
    // A pod sent to a shared node by its author stays there: shared serves every workload.
    const shared: Requirement = { key, operator: 'In', values: policy.sharedValues };
    const ok = policy.sharedValues.length > 0 && meetable(own, shared) !== undefined;
    return ok ? undefined : { state: 'conflict' };
  }
  const leftOut = leaveOut(profile, view);
  return leftOut === undefined ? { state: 'inject', requirement } : { state: 'leave-out', leftOut };
}

/** `whenNoNodeMatches`. Unknown nodes (offline, not yet synced) always mean: inject. */
function leaveOut(profile: CompiledProfile, view: ClusterView): LeftOut | undefined {
  const { nodeType, whenNoNodeMatches: mode = 'auto' } = profile.profile;
  if (nodeType === undefined || mode === 'inject' || mode === 'deny' || !view.known || view.hasType(nodeType)) {
    return undefined;
  }
  if (mode === 'skip') return { why: 'no-node-of-type' };
  const node = view.findWorkflowNode(`offers ${profile.profile.name}`, (candidate) => offers(candidate, profile));
  return node === undefined ? undefined : { why: 'offered-elsewhere', node };
}

/** Whether an untyped node offers what the profile's pods come for: jetson, arm64 and a tegra kernel; else one of the profile's resources above zero. */
function offers(node: Node, profile: CompiledProfile): boolean {
  if (profile.profile.nodeType === 'jetson') {
    return node.info.architecture === 'arm64' && isTegraKernel(node.info.kernelVersion);
  }
  return Object.keys(node.capacity).some(
    (name) => profile.resources.some((glob) => glob(name)) && isPositiveQuantity(node.capacity[name] ?? '') === true,
  );
}

function missingTolerations(present: readonly Toleration[], wanted: readonly Toleration[]): readonly Edit[] {
  const have = [...present];
  const edits: Edit[] = [];
  for (const toleration of wanted) {
    if (have.some((other) => covers(other, toleration))) continue;
    have.push(toleration);
    edits.push({ edit: 'addToleration', toleration });
  }
  return edits;
}

/**
 * Expressions that the required node affinity lacks: in every non-empty term, or in an only new term where there is no required affinity.
 * @returns undefined where more than `maxPatchedTerms` terms lack some.
 */
function missingExpressions(placement: Placement, expressions: readonly Requirement[]): readonly Edit[] | undefined {
  if (expressions.length === 0) return [];
  if (placement.terms === undefined) {
    return expressions.map((expression) => ({ edit: 'addTermExpression', term: 'new', expression }));
  }
  const edits: Edit[] = [];
  let lacking = 0;
  for (const [term, present] of placement.terms.entries()) {
    // An empty term matches nothing; an expression in it would make it match.
    if (isEmptyTerm(present)) continue;
    const before = edits.length;
    for (const expression of expressions) {
      if (!termHas(present, expression)) edits.push({ edit: 'addTermExpression', term, expression });
    }
    if (edits.length > before) lacking += 1;
    if (lacking > maxPatchedTerms) return undefined;
  }
  return edits;
}

/** The placement that a pod has once the edits are made. */
export function applyEdits(placement: Placement, edits: readonly Edit[]): Placement {
  if (edits.length === 0) return placement;
  const nodeSelector: Record<string, string> = { ...placement.nodeSelector };
  const tolerations = [...placement.tolerations];
  const terms = placement.terms?.map((term) => ({ ...term, matchExpressions: [...term.matchExpressions] }));
  const added: Requirement[] = [];
  for (const edit of edits) {
    if (edit.edit === 'setNodeSelector') nodeSelector[edit.key] = edit.value;
    else if (edit.edit === 'addToleration') tolerations.push(edit.toleration);
    else if (edit.edit === 'addTermExpression') {
      if (edit.term === 'new') added.push(edit.expression);
      else terms?.[edit.term]?.matchExpressions.push(edit.expression);
    }
  }
  return {
    nodeName: placement.nodeName,
    nodeSelector,
    terms: terms ?? (added.length > 0 ? [{ matchExpressions: added, matchFields: [] }] : undefined),
    tolerations,
  };
}
