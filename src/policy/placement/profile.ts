import { compileGlob, type Glob } from '../kube/glob.ts';
import { label } from '../kube/labels.ts';
import type { ClassesOf } from '../model/claims.ts';
import type { Workload } from '../model/placement.ts';
import type { CompiledPolicy, CompiledProfile, NodesPolicy, Policy, Profile } from '../model/policy.ts';
import { implies } from './constraints.ts';

/** The label by which OSMO names a pod's platform; OSMO always sets it itself. */
export const platformLabel = 'osmo.platform';

/**
 * Kubernetes' own name for a device class where a container asks for its devices as for a resource (`ResourceDeviceClassPrefix` in resource.k8s.io; on by
 * default since 1.36).
 */
const deviceClassPrefix = 'deviceclass.resource.kubernetes.io/';

export function compileProfiles(policy: Policy): readonly CompiledProfile[] {
  return policy.profiles.map((profile) => {
    const { resources: names = [], deviceClasses = [] } = profile.match;
    const resources = [...names, ...deviceClasses.map((name) => deviceClassPrefix + name)].map(compileGlob);
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

/** Whether some profile matches on device classes: then the claims of the cluster must be known. */
export function wantsDeviceClasses({ policy }: CompiledPolicy): boolean {
  return policy.profiles.some(({ match }) => (match.deviceClasses ?? []).length > 0);
}

/** Any one of the conditions suffices. Pairs of `podLabels` must all be there, as in a label selector. */
function compileMatch(profile: Profile, nodes: NodesPolicy, resources: readonly Glob[]): CompiledProfile['matches'] {
  if (matchesEveryPod(profile)) return () => true;
  const { match } = profile;
  const platforms = (match.platforms ?? []).map(compileGlob);
  const typeValues = valuesOf(nodes, match.nodeTypes ?? []);
  const pairs = Object.entries(match.podLabels ?? {});
  const annotations = match.podAnnotations ?? [];
  const classes = match.deviceClasses ?? [];
  return (pod, classesOf) => {
    if (platforms.length > 0) {
      const platform = label(pod.labels, platformLabel);
      if (platform !== undefined && platforms.some((glob) => glob(platform))) return true;
    }
    if (typeValues.length > 0 && implies(pod.placement, nodes.typeLabel, typeValues)) return true;
    if (pairs.length > 0 && pairs.every(([key, value]) => label(pod.labels, key) === value)) return true;
    if (pod.demands.resources.some((name) => resources.some((glob) => glob(name)))) return true;
    if (annotations.some((key) => label(pod.annotations, key) !== undefined)) return true;
    return classes.length > 0 && claimedClass(pod, classes, classesOf) !== undefined;
  };
}

/** The first of some device classes that a claim of the pod asks for. A claim that nobody knows asks for none: `unknownClaims` says so. */
export function claimedClass(pod: Workload, wanted: readonly string[], classesOf: ClassesOf): string | undefined {
  for (const claim of pod.demands.claims) {
    const known = classesOf(pod.namespace, claim);
    const found = known.state === 'found' ? known.classes.find((name) => wanted.includes(name)) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}
