import { type Line, text } from '../../audit/read/entry.ts';
import { slackMs } from '../../audit/read/mismatch.ts';
import type { Scope } from '../../audit/read/scope.ts';
import { createPolicyParser, type ParsePolicy, PolicyFileError } from '../../config/parse.ts';
import { digestOfPrinted } from '../../config/print-policy.ts';
import { buildWebhookConfigurations } from '../../manifests/webhooks.ts';
import { field, isObject } from '../../policy/model/read.ts';
import { rules } from '../../policy/rules/index.ts';

/** Which requests are ours, by the policy that was in force at a time. */
export interface Scopes {
  /** @returns false for a record of a policy whose text has another digest than it names: it tells nothing. */
  learn(line: Line): boolean;
  always(policyText: string, file: string): void;
  at(ms: number): Scope | undefined;
  known(): boolean;
}

export function createScopes(namespace: string): Scopes {
  // A schema is compiled for it: not before there is a policy.
  let parse: ParsePolicy | undefined;
  const byDigest = new Map<string, Scope | undefined>();
  const since: { readonly ms: number; readonly digest: string }[] = [];
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
  /** Undefined for a policy that this version does not take: another one wrote the log. */
  const readable = (policyText: string, file: string): Scope | undefined => {
    try {
      return scopeOf(policyText, file);
    } catch (error) {
      if (error instanceof PolicyFileError) return undefined;
      throw error;
    }
  };
  return {
    always(policyText, file) {
      byDigest.set('', scopeOf(policyText, file));
      since.push({ ms: Number.NEGATIVE_INFINITY, digest: '' });
    },
    learn({ header, value, place }) {
      const ms = Date.parse(header.time);
      if (header.kind !== 'PolicyRecord' || text(value, 'outcome') !== 'loaded' || Number.isNaN(ms)) return true;
      const policyText = text(value, 'policyText');
      const digest = text(value, 'digest');
      const isTrue = policyText === '' || digestOfPrinted(policyText) === digest;
      if (isTrue && policyText !== '' && !byDigest.has(digest)) {
        byDigest.set(digest, readable(policyText, `the policy in ${place.file}, line ${place.line}`));
      }
      // From here on another policy is in force, also where its text is not there.
      since.push({ ms, digest });
      // Replicas come one after the other.
      since.sort((a, b) => a.ms - b.ms);
      return isTrue;
    },
    at(ms) {
      const inForce = since.findLast((entry) => entry.ms <= ms);
      // A request that was under way when the first server started, by another clock.
      const entry = inForce ?? since.find(({ ms: firstMs }) => firstMs - slackMs <= ms);
      return entry === undefined ? undefined : byDigest.get(entry.digest);
    },
    known: () => since.some(({ digest }) => byDigest.get(digest) !== undefined),
  };
}
