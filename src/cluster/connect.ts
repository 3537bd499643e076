import { loadInClusterAccess, loadKubeconfigAccess } from './access.ts';
import { type ApiClient, createApiClient } from './api-client.ts';
import { defaultIdleTimeoutMs } from './resource-watch.ts';

export interface ConnectOptions {
  /** Left out, the pod's service account. */
  readonly kubeconfig: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** A client of the server's cluster, for whoever closes it. @throws AccessError */
export async function connect({ kubeconfig, env }: ConnectOptions): Promise<ApiClient> {
  const access = kubeconfig === undefined ? await loadInClusterAccess(env) : await loadKubeconfigAccess(kubeconfig);
  return createApiClient(access, { idleTimeoutMs: defaultIdleTimeoutMs });
}
