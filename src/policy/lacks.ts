import { endOfDay } from './exemptions.ts';
import type { CompiledPolicy, Policy } from './model/policy.ts';
import { wantsDeviceClasses } from './placement/profile.ts';
import type { BoundRule, Lack } from './rule.ts';

/** Everything that a good policy leaves open, in the order of the file: what an installer should know before it is relied on. */
export function lacksOf(policy: CompiledPolicy, rules: readonly BoundRule[], nowMs: number): readonly Lack[] {
  return [
    ...presetLacks(policy),
    ...workflowLacks(policy),
    ...operatorLacks(policy),
    ...profileLacks(policy),
    ...claimLacks(policy),
    ...rules.flatMap((rule) => [...enforcementLacks(policy, rule), ...rule.lacks(policy.policy)]),
    ...exemptionLacks(policy, nowMs),
  ];
}

function presetLacks({ policy }: CompiledPolicy): readonly Lack[] {
  if (policy.preset === 'enforce') return [];
  return [{ path: ['preset'], message: 'is monitor: nothing is denied or patched, whatever the rules say' }];
}

function workflowLacks({ policy }: CompiledPolicy): readonly Lack[] {
  const { namespaces, labels } = policy.workflowPods;
  const path = ['workflowPods', namespaces.length === 0 ? 'namespaces' : 'labels'];
  if (namespaces.length === 0 && labels.length === 0) {
    return [{ path: ['workflowPods'], message: 'names no namespace and no label: no pod is a workflow pod' }];
  }
  if (namespaces.length === 0) {
    return [
      {
        path,
        message:
          'is empty: pods are judged by labels that a user can leave off, and admitted while the webhook is away',
      },
    ];
  }
  if (labels.length > 0) return [];
  return [{ path, message: 'is empty: a workflow pod in a namespace that is not listed is not seen' }];
}

function operatorLacks({ operatorValues, operatorTaints, policy }: CompiledPolicy): readonly Lack[] {
  const lacks: Lack[] = [];
  if (operatorValues.length === 0) {
    lacks.push({
      path: ['nodes', 'types'],
      message: `has no value that means operator: no pod gets the exclusion, and one that selects ${policy.nodes.typeLabel} freely is kept off by taints alone`,
    });
  }
  if (operatorTaints.length === 0) {
    lacks.push({ path: ['nodes', 'operatorTaints'], message: 'is empty: no toleration is ever refused' });
  }
  return lacks;
}

function profileLacks({ policy }: CompiledPolicy): readonly Lack[] {
  return (['gpu', 'jetson'] as const).flatMap((type) =>
    policy.profiles.some(({ nodeType }) => nodeType === type)
      ? []
      : [
          {
            path: ['profiles'],
            message: `has none for nodeType ${type}: such pods get no selector and no tolerations`,
          },
        ],
  );
}

/** A file from before device classes were known lists its profiles without them. */
function claimLacks(compiled: CompiledPolicy): readonly Lack[] {
  const index = compiled.policy.profiles.findIndex(({ nodeType }) => nodeType === 'gpu');
  if (index === -1 || wantsDeviceClasses(compiled)) return [];
  return [
    {
      path: ['profiles', index, 'match', 'deviceClasses'],
      message: 'is empty: a pod that gets its GPU by a resource claim is not seen to ask for one',
    },
  ];
}

/** Groups that nearly every user or service account is in. */
const broadGroups = ['system:authenticated', 'system:unauthenticated', 'system:serviceaccounts', 'system:nodes'];

function enforcementLacks(policy: CompiledPolicy, rule: BoundRule): readonly Lack[] {
  // The preset speaks for itself.
  if (policy.policy.preset !== 'enforce') return [];
  const { id } = rule;
  const enforcement = policy.enforcementOf(id, '');
  if (enforcement === 'enforce') return reasonLacks(policy, rule);
  // What the defaults leave optional is nobody's omission.
  if (enforcement === rule.enforcement(withDefaults(policy, rule), '')) return [];
  const effect = enforcement === 'off' ? 'it judges nothing, and no webhook is registered for it' : 'it denies nothing';
  return [{ path: ['rules', id, 'enforcement'], message: `is ${enforcement}: ${effect}` }];
}

/** Reasons that the defaults enforce and this policy does not. */
function reasonLacks(policy: CompiledPolicy, rule: BoundRule): readonly Lack[] {
  const { id, reasons, enforcement } = rule;
  const byDefault = withDefaults(policy, rule);
  return Object.keys(reasons).flatMap((reason) => {
    const level = policy.enforcementOf(id, reason);
    if (level === 'enforce' || enforcement(byDefault, reason) !== 'enforce') return [];
    return [{ path: ['rules', id, 'enforcement', reason], message: `is ${level}: it denies nothing for this reason` }];
  });
}

/** The policy with a rule's own defaults. */
function withDefaults({ policy }: CompiledPolicy, { id, settings }: BoundRule): Policy {
  return { ...policy, rules: { ...policy.rules, [id]: settings.defaults } };
}

const dayMs = 24 * 60 * 60 * 1000;

/** How long before an exemption ends it is said. */
const noticeDays = 14;

function exemptionLacks({ policy }: CompiledPolicy, nowMs: number): readonly Lack[] {
  return policy.exemptions.flatMap(({ until, groups = [] }, index): readonly Lack[] => {
    const broad = groups.filter((group) => broadGroups.includes(group));
    const endsAtMs = until === undefined ? undefined : endOfDay(until);
    if (endsAtMs === undefined || endsAtMs > nowMs) {
      const days = endsAtMs === undefined ? Number.POSITIVE_INFINITY : Math.ceil((endsAtMs - nowMs) / dayMs);
      return [
        ...(broad.length === 0
          ? []
          : [
              {
                path: ['exemptions', index, 'groups'],
                message: `hold ${broad.join(', ')}: nearly everybody is exempt`,
              },
            ]),
        ...(days > noticeDays
          ? []
          : [
              {
                path: ['exemptions', index, 'until'],
                message: `is ${until}, ${days === 1 ? 'today' : `${days} days from now`}: then it exempts nobody; renew it, or see to what it is for`,
              },
            ]),
      ];
    }
    return [{ path: ['exemptions', index], message: `ended on ${until}: it exempts nobody any more; remove it` }];
  });
}
