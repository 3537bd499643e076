import { compileGlob, type Glob } from '../kube/glob.ts';
import { label } from '../kube/labels.ts';
import type { Workload } from '../model/placement.ts';
import type { CompiledProfile, NodesPolicy, Policy, Profile } from '../model/policy.ts';
import { implies } from './constraints.ts';

/** The label by which OSMO names a pod's platform; OSMO always sets it itself. */
export const platformLabel = 'osmo.platform';

export function compileProfiles(policy: Policy): readonly CompiledProfile[] {
  return policy.profiles.map((profile) => {
    const resources = (profile.match.resources ?? []).map(compileGlob);
    return {
      profile,
      matches: compileMatch(profile, policy.nodes, resources),
      resources,
      values: profile.nodeType === undefined ? [] : valuesOf(policy.nodes, [profile.nodeType]),
    };
  });
}

/** Label values that mean one of the types, sorted. */
export function valuesOf(nodes: NodesPolicy, types: readonly string[]): readonly string[] {
  return Object.keys(nodes.types)
    .filter((value) => types.includes(nodes.types[value] ?? ''))
    .sort();
}

/** True for `match: {}`, which matches every pod; a match whose lists are empty matches none. */
export function matchesEveryPod(profile: Profile): boolean {
  return Object.keys(profile.match).length === 0;
}

/** Any one of the conditions suffices. Pairs of `podLabels` must all be there, as in a label selector. */
function compileMatch(profile: Profile, nodes: NodesPolicy, resources: readonly Glob[]): (pod: Workload) => boolean {
  if (matchesEveryPod(profile)) return () => true;
  const { match } = profile;
  const platforms = (match.platforms ?? []).map(compileGlob);
  const typeValues = valuesOf(nodes, match.nodeTypes ?? []);
  const pairs = Object.entries(match.podLabels ?? {});
  const annotations = match.podAnnotations ?? [];
  return (pod) => {
    if (platforms.length > 0) {
      const platform = label(pod.labels, platformLabel);
      if (platform !== undefined && platforms.some((glob) => glob(platform))) return true;
    }
    if (typeValues.length > 0 && implies(pod.placement, nodes.typeLabel, typeValues)) return true;
    if (pairs.length > 0 && pairs.every(([key, value]) => label(pod.labels, key) === value)) return true;
    if (pod.demands.resources.some((name) => resources.some((glob) => glob(name)))) return true;
    return annotations.some((key) => label(pod.annotations, key) !== undefined);
  };
}
