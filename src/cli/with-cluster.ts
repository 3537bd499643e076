import { type ApiAccess, loadKubeconfigAccess } from '../cluster/access.ts';
import { type ApiClient, createApiClient } from '../cluster/api-client.ts';
import { defaultIdleTimeoutMs } from '../cluster/resource-watch.ts';

/** Does something with a cluster's API server, and closes the connection whatever comes of it. @throws AccessError for a bad kubeconfig. */
export async function withCluster<T>(kubeconfig: string, use: (client: ApiClient) => Promise<T>): Promise<T> {
  return withAccess(await loadKubeconfigAccess(kubeconfig), use);
}

/** The same, where the access is known. */
export async function withAccess<T>(access: ApiAccess, use: (client: ApiClient) => Promise<T>): Promise<T> {
  const client = createApiClient(access, { idleTimeoutMs: defaultIdleTimeoutMs });
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}
