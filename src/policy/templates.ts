import { guardId } from './guard/guard.ts';
import type { Ceiling, Finding } from './model/finding.ts';
import type { CompiledPolicy } from './model/policy.ts';
import { workloads } from './model/read-request.ts';
import { enforcementSchema, type JsonSchema, type RequestMatch } from './rule.ts';

/** How findings of a workload's template are answered: its pods are judged again when they are made. */
export type TemplateEnforcement = 'enforce' | 'warn' | 'audit';

export const templateSchema: JsonSchema = enforcementSchema(
  ['enforce', 'warn', 'audit'],
  'Ceiling for the templates of Deployments, Jobs and the like: warn tells their author what the pods would meet, enforce denies.',
);

/** Creations of workloads, and updates that change the template of their pods. */
export const templateMatches: readonly RequestMatch[] = workloads.flatMap(
  ({ group, resource }): readonly RequestMatch[] => [
    { group, resource, operations: ['CREATE'], phases: ['validate'] },
    { group, resource, operations: ['UPDATE'], phases: ['validate'], changes: ['template'] },
  ],
);

/** How the policy answers findings of templates, for every rule that judges pods: a setting of the guard. */
export function templateEnforcement(policy: CompiledPolicy): TemplateEnforcement {
  return (policy.settings.get(guardId) as { readonly templates: TemplateEnforcement }).templates;
}

/** A finding under one more ceiling. */
export function withCeiling(finding: Finding, ceiling: Ceiling | 'enforce'): Finding {
  if (ceiling === 'enforce' || finding.atMost === 'audit') return finding;
  return { ...finding, atMost: ceiling };
}
