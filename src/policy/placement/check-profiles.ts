import { describeToleration, toleratesSome } from '../kube/taint.ts';
import type { Policy } from '../model/policy.ts';
import type { Contradiction } from '../rule.ts';
import { taintPatterns } from '../taint-patterns.ts';
import { matchesEveryPod, valuesOf } from './profile.ts';

/** Contradictions between profiles, and between a profile and what marks operator nodes. */
export function checkProfiles(policy: Policy): readonly Contradiction[] {
  return [
    ...checkOrder(policy),
    ...checkNames(policy),
    ...checkNodeTypes(policy),
    ...checkDeviceClasses(policy),
    ...checkTolerations(policy),
  ];
}

function checkOrder({ profiles }: Policy): readonly Contradiction[] {
  const last = profiles.length - 1;
  const found: Contradiction[] = [];
  profiles.forEach((profile, index) => {
    if (index < last && matchesEveryPod(profile)) {
      found.push({
        path: ['profiles', index, 'match'],
        other: ['profiles', index + 1],
        message: `profile ${profile.name} matches every pod, so the profiles after it are never used: move it to the end`,
      });
    }
  });
  const tail = profiles[last];
  if (tail === undefined || !matchesEveryPod(tail)) {
    found.push({
      path: tail === undefined ? ['profiles'] : ['profiles', last, 'match'],
      message:
        'the last profile must match every pod, else some would have no profile: end the list with {name: compute, match: {}, tolerations: []}',
    });
  }
  return found;
}

function checkNames({ profiles }: Policy): readonly Contradiction[] {
  return profiles.flatMap((profile, index) => {
    const first = profiles.findIndex(({ name }) => name === profile.name);
    if (first === index) return [];
    return [
      {
        path: ['profiles', index, 'name'],
        other: ['profiles', first, 'name'],
        message: `two profiles are called ${profile.name}: give each its own name`,
      },
    ];
  });
}

function checkNodeTypes({ profiles, nodes }: Policy): readonly Contradiction[] {
  const found: Contradiction[] = [];
  profiles.forEach((profile, index) => {
    const type = profile.nodeType;
    if (type === undefined) return;
    const path = ['profiles', index, 'nodeType'];
    if (type === 'operator') {
      found.push({
        path,
        message: `profile ${profile.name} sends workflow pods to operator nodes: use compute, gpu, jetson or shared`,
      });
    } else if (valuesOf(nodes, [type]).length === 0) {
      found.push({
        path,
        other: ['nodes', 'types'],
        message: `no label value means ${type}, so profile ${profile.name} has no selector to inject: map one under nodes.types, or leave nodeType out`,
      });
    }
    // After this profile's selector is injected, the pod would match the earlier profile: the second pass would differ from the first.
    const earlier = profiles.findIndex(({ match }, at) => at < index && match.nodeTypes?.includes(type) === true);
    if (earlier !== -1) {
      found.push({
        path,
        other: ['profiles', earlier, 'match', 'nodeTypes'],
        message: `pods of profile ${profile.name} would match the earlier profile ${profiles[earlier]?.name} once they select ${type}: put ${profile.name} before it, or merge the two`,
      });
    }
  });
  return found;
}

/** A class that an earlier profile has never reaches a later one. */
function checkDeviceClasses({ profiles }: Policy): readonly Contradiction[] {
  return profiles.flatMap((profile, index) =>
    (profile.match.deviceClasses ?? []).flatMap((name, at): Contradiction[] => {
      const earlier = profiles.findIndex(({ match }) => match.deviceClasses?.includes(name) === true);
      if (earlier >= index) return [];
      return [
        {
          path: ['profiles', index, 'match', 'deviceClasses', at],
          other: ['profiles', earlier, 'match', 'deviceClasses'],
          message: `a pod that claims ${name} gets the earlier profile ${profiles[earlier]?.name}, never ${profile.name}: name the class in one of the two`,
        },
      ];
    }),
  );
}

function checkTolerations(policy: Policy): readonly Contradiction[] {
  const patterns = taintPatterns(policy.nodes.operatorTaints);
  const { typeLabel, types } = policy.nodes;
  return policy.profiles.flatMap((profile, index) =>
    profile.tolerations.flatMap((toleration, at): Contradiction[] => {
      const path = ['profiles', index, 'tolerations', at];
      // Kubernetes refuses such a toleration, and with it every pod it is injected into.
      if (toleration.operator === 'Exists' && (toleration.value ?? '') !== '') {
        return [
          {
            path: [...path, 'value'],
            message: 'a toleration with operator Exists has no value: remove one of the two',
          },
        ];
      }
      if (toleration.tolerationSeconds !== undefined && toleration.effect !== 'NoExecute') {
        return [{ path: [...path, 'tolerationSeconds'], message: 'tolerationSeconds goes with effect NoExecute only' }];
      }
      const match = patterns.findIndex((pattern) => toleratesSome(toleration, pattern));
      if (match !== -1) {
        return [
          {
            path,
            other: ['nodes', 'operatorTaints', match],
            message: `${describeToleration(toleration)} of profile ${profile.name} matches the operator taint ${patterns[match]?.key}: every such pod would be refused; narrow the toleration or the taint`,
          },
        ];
      }
      const value = toleration.value ?? '';
      if (toleration.key === typeLabel && Object.hasOwn(types, value) && types[value] === 'operator') {
        return [
          {
            path,
            other: ['nodes', 'types', value],
            message: `profile ${profile.name} tolerates ${typeLabel}=${value}, and ${value} means operator: give the profile a value of its own`,
          },
        ];
      }
      return [];
    }),
  );
}
