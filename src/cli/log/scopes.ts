import { type Line, text } from '../../audit/read/entry.ts';
import type { Scope } from '../../audit/read/scope.ts';
import { createPolicyParser, type ParsePolicy } from '../../config/parse.ts';
import { buildWebhookConfigurations } from '../../manifests/webhooks.ts';
import { field, isObject } from '../../policy/model/read.ts';
import { rules } from '../../policy/rules/index.ts';

/** Which requests are ours, by the policy that was in force at a time. */
export interface Scopes {
  learn(line: Line): void;
  always(policyText: string, file: string): void;
  at(ms: number): Scope | undefined;
  known(): boolean;
}

export function createScopes(namespace: string): Scopes {
  // A schema is compiled for it: not before there is a policy.
  let parse: ParsePolicy | undefined;
  const byDigest = new Map<string, Scope>();
  const since: { readonly ms: number; readonly scope: Scope }[] = [];
  const scopeOf = (policyText: string, file: string): Scope => {
    parse ??= createPolicyParser({ rules, ownNamespace: namespace });
    const policy = parse(policyText, file);
    const configuration = buildWebhookConfigurations(rules, policy, namespace).find(
      ({ kind }) => kind === 'ValidatingWebhookConfiguration',
    );
    const webhooks = configuration === undefined ? undefined : field(configuration, 'webhooks');
    return {
      webhooks: Array.isArray(webhooks) ? webhooks.filter(isObject) : [],
      workflowLabels: policy.workflowLabels,
    };
  };
  return {
    always: (policyText, file) => void since.push({ ms: Number.NEGATIVE_INFINITY, scope: scopeOf(policyText, file) }),
    learn({ header, value, place }) {
      if (header.kind !== 'PolicyRecord' || text(value, 'outcome') !== 'loaded') return;
      const policyText = text(value, 'policyText');
      const digest = text(value, 'digest');
      if (policyText !== '' && !byDigest.has(digest)) {
        byDigest.set(digest, scopeOf(policyText, `the policy in ${place.file}, line ${place.line}`));
      }
      const scope = byDigest.get(digest);
      if (scope !== undefined) since.push({ ms: Date.parse(header.time), scope });
      // Replicas come one after the other.
      since.sort((a, b) => a.ms - b.ms);
    },
    at: (ms) => since.findLast((entry) => entry.ms <= ms)?.scope,
    known: () => since.length > 0,
  };
}
