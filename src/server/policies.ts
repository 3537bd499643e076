import { compileDefaults, createPolicyParser } from '../config/parse.ts';
import { type PolicyStore, startPolicyStore } from '../config/policy-store.ts';
import type { Log } from '../config/watch-files.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import { serviceAccountUser } from '../policy/model/request.ts';
import { rules } from '../policy/rules/index.ts';
import type { Metrics } from './metrics.ts';

export interface PolicySettings {
  readonly config: string | undefined;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly reloadIntervalMs: number;
}

/** The policy file, kept; or the defaults, which never change. */
export async function loadPolicies(
  settings: PolicySettings,
  metrics: Pick<Metrics, 'policyReload'>,
  world: { readonly log: Log; readonly now: () => number },
  onLoaded: (inForce: CompiledPolicy, error: string) => void,
): Promise<PolicyStore> {
  const ownNamespace = settings.namespace;
  const ownUser = serviceAccountUser(`${ownNamespace}/${settings.serviceAccount}`);
  if (settings.config === undefined) {
    const policy = compileDefaults({ rules, ownNamespace, ownUser });
    metrics.policyReload('success', policy.digest, world.now() / 1000);
    return { current: () => policy, status: () => ({ outcome: 'success', error: '' }), close: () => undefined };
  }
  return startPolicyStore({
    file: settings.config,
    parse: createPolicyParser({ rules, ownNamespace, ownUser }),
    pollMs: settings.reloadIntervalMs,
    log: world.log,
    onReload: ({ outcome, error }, policy) => {
      metrics.policyReload(outcome, policy.digest, world.now() / 1000);
      onLoaded(policy, error);
    },
  });
}
