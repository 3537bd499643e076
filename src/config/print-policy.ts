import { parse, stringify } from 'yaml';
import type { Policy } from '../policy/model/policy.ts';
import { isObject } from '../policy/model/read.ts';
import { digestOf } from './parse.ts';
import { policyApiVersion, policyKind } from './schema.ts';

/** A policy in force as a policy file, defaults filled in. */
export function printPolicy(policy: Policy): string {
  return stringify({ apiVersion: policyApiVersion, kind: policyKind, ...policy }, { lineWidth: 0 });
}

/**
 * The digest of the policy that such a text is of, whichever version printed it: no default is filled in, and nothing is asked of its sections.
 * Undefined where it is no such text.
 */
export function digestOfPrinted(text: string): string | undefined {
  try {
    const value: unknown = parse(text, { logLevel: 'silent' });
    if (!isObject(value)) return undefined;
    const { apiVersion: _version, kind: _kind, ...policy } = value;
    return digestOf(policy);
  } catch {
    return undefined;
  }
}
