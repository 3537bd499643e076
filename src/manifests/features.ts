import type { CompiledPolicy } from '../policy/model/policy.ts';
import { wantsDeviceClasses } from '../policy/placement/profile.ts';

/** How the server comes by its serving certificate, and the API server by its authority. */
export type TlsMode = 'cert-manager' | 'self-signed' | 'secret';

/** What an installation uses of a cluster follows from these, and from nothing else. */
export interface Features {
  /** Whether a rule is on: anything but `off`. */
  readonly isOn: (rule: string) => boolean;
  /** Whether some profile asks for device classes, so that claims are watched. */
  readonly deviceClasses: boolean;
  /** Whether pods may be looked for: not with `--no-pod-search`. */
  readonly podSearch: boolean;
  readonly selfSigned: boolean;
}

/** What is no part of the policy. */
export interface Settings {
  readonly podSearch: boolean;
  readonly tls: TlsMode;
}

export function featuresOf(policy: CompiledPolicy, { podSearch, tls }: Settings): Features {
  return {
    isOn: (rule) => policy.enforcementOf(rule, '') !== 'off',
    deviceClasses: wantsDeviceClasses(policy),
    podSearch,
    selfSigned: tls === 'self-signed',
  };
}
