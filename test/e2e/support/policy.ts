import { stringify } from 'yaml';

/**
 * The default policy, but for what real kubelet code here reports of the machine that the tests run on: a fake container runtime, whatever
 * operating system, little memory and disk.
 */
export function kubeletPolicy(kubernetes = '1.30.0'): string {
  return stringify({
    apiVersion: 'osmo-admission/v1alpha1',
    kind: 'AdmissionPolicy',
    rules: {
      'node-conformance': { kubernetes, enforcement: { 'container-runtime': 'off', 'os-image': 'off' } },
    },
  });
}
