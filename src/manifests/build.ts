import { stringify } from 'yaml';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import type { BoundRule } from '../policy/rule.ts';
import { buildCertificates } from './certificate.ts';
import { featuresOf, type Settings } from './features.ts';
import type { Installation, KubeObject } from './objects.ts';
import { buildWebhookConfigurations } from './webhooks.ts';
import { buildWorkload } from './workload.ts';

export interface ManifestInput {
  readonly rules: readonly BoundRule[];
  readonly policy: CompiledPolicy;
  /** The policy file, as it is mounted. */
  readonly policyText: string;
  readonly installation: Installation;
}

/** What `manifests` prints has cert-manager's certificates, and the server's defaults. */
const settings: Settings = { podSearch: true, tls: 'cert-manager' };

/**
 * Everything that an installation consists of, as files in the order in which they are applied. The webhook configurations come last:
 * before the server runs, they would refuse every workflow pod.
 */
export function buildManifests({
  rules,
  policy,
  policyText,
  installation,
}: ManifestInput): ReadonlyMap<string, string> {
  return new Map([
    ['01-workload.yaml', toYaml(buildWorkload(installation, featuresOf(policy, settings), policyText))],
    ['02-certificate.yaml', toYaml(buildCertificates(installation))],
    ['03-webhooks.yaml', toYaml(buildWebhookConfigurations(rules, policy, installation.namespace))],
  ]);
}

function toYaml(objects: readonly KubeObject[]): string {
  return objects.map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })).join('---\n');
}
