import { stringify } from 'yaml';
import type { Policy } from '../policy/model/policy.ts';
import { policyApiVersion, policyKind } from './schema.ts';

/** A policy in force as a policy file, defaults filled in. */
export function printPolicy(policy: Policy): string {
  return stringify({ apiVersion: policyApiVersion, kind: policyKind, ...policy }, { lineWidth: 0 });
}
