import { atMost } from './enforcement.ts';
import { checkExemptions, compileExemptions } from './exemptions.ts';
import type { CompiledPolicy, Policy } from './model/policy.ts';
import { compileProfiles, valuesOf } from './placement/profile.ts';
import type { BoundRule, Contradiction } from './rule.ts';
import { taintPatterns } from './taint-patterns.ts';

/** Who the webhook itself is. */
export interface Own {
  readonly namespace?: string | undefined;
  /** User name of its service account. */
  readonly user?: string | undefined;
}

/**
 * Derives once what every request needs of a policy.
 * @param policy valid by the schema and without contradictions.
 * @param digest hex SHA-256 of the policy.
 * @param own who the webhook is, if it runs in a cluster.
 */
export function compilePolicy(
  policy: Policy,
  digest: string,
  rules: readonly BoundRule[],
  own: Own = {},
): CompiledPolicy {
  const byId = new Map(rules.map((rule) => [rule.id, rule]));
  return {
    policy,
    digest,
    ownUser: own.user,
    workflowNamespaces: new Set(policy.workflowPods.namespaces),
    workflowLabels: policy.workflowPods.labels,
    operatorValues: valuesOf(policy.nodes, ['operator']),
    sharedValues: valuesOf(policy.nodes, ['shared']),
    operatorTaints: taintPatterns(policy.nodes.operatorTaints),
    exemptions: compileExemptions(policy, own.namespace),
    profiles: compileProfiles(policy),
    enforcementOf: (rule, reason) => {
      const enforcement = byId.get(rule)?.enforcement(policy, reason) ?? 'off';
      return policy.preset === 'monitor' ? atMost(enforcement, 'audit') : enforcement;
    },
    settings: new Map(rules.map((rule) => [rule.id, rule.compile(policy)])),
  };
}

/** Everything in a policy that is valid by itself and wrong together. An empty list is a policy that can be compiled. */
export function findContradictions(policy: Policy, rules: readonly BoundRule[]): readonly Contradiction[] {
  return [
    ...checkOperatorDefinition(policy),
    ...checkExemptions(policy),
    ...rules.flatMap((rule) => rule.check(policy)),
  ];
}

function checkOperatorDefinition({ nodes }: Policy): readonly Contradiction[] {
  const lifecycle = nodes.operatorTaints.findIndex(({ key }) => key.startsWith('node.kubernetes.io/'));
  if (lifecycle !== -1) {
    return [
      {
        path: ['nodes', 'operatorTaints', lifecycle, 'key'],
        message:
          'the prefix node.kubernetes.io/ is that of the node lifecycle, whose taints come and go on every node: use a key of your own',
      },
    ];
  }
  if (nodes.operatorTaints.length > 0 || valuesOf(nodes, ['operator']).length > 0) return [];
  return [
    {
      path: ['nodes', 'types'],
      other: ['nodes', 'operatorTaints'],
      message:
        'nothing means operator: no label value does and operatorTaints is empty, so no node would be protected; map a value to operator, or list a taint',
    },
  ];
}
