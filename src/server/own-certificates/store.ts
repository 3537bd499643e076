import { type ApiClient, ApiError } from '../../cluster/api-client.ts';
import { ownSecretLabel } from '../../manifests/objects.ts';
import { field, type JsonObject, readObject } from '../../policy/model/read.ts';
import { bundlesOf } from './material.ts';

/* The Secrets and webhook configurations at the API server, each asked for by its name. */

/** By which the API server tells our writes of caBundle from those of others. */
const fieldManager = 'osmo-admission-webhook-certificates';

export interface Store {
  /** @returns undefined where there is none. @throws ApiError */
  readSecret(name: string, signal: AbortSignal): Promise<JsonObject | undefined>;
  /**
   * Makes it, or writes over the very version that was read. @returns false where somebody was quicker. @throws ApiError
   * @param seen as it was read; undefined where there was none.
   */
  writeSecret(
    name: string,
    seen: JsonObject | undefined,
    data: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<boolean>;
  /** Sets caBundle of the webhooks that have another. @returns false where somebody changed the list meanwhile. @throws ApiError */
  writeBundle(resource: string, name: string, seen: JsonObject, bundle: string, signal: AbortSignal): Promise<boolean>;
}

export function createStore(client: ApiClient, namespace: string): Store {
  const path = `/api/v1/namespaces/${namespace}/secrets`;
  return {
    async readSecret(name, signal) {
      try {
        return readObject(await client.get(`${path}/${name}`, {}, signal), 'Secret');
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return undefined;
        throw error;
      }
    },
    async writeSecret(name, seen, data, signal) {
      const encoded = Object.fromEntries(
        Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
      );
      if (seen === undefined) {
        const metadata = { name, namespace, labels: ownSecretLabel };
        const body = { apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/tls', metadata, data: encoded };
        return unlessOvertaken(client.send('POST', path, body, signal), [409]);
      }
      const metadata = readObject(field(seen, 'metadata'), 'Secret.metadata');
      const labels = { ...readObject(field(metadata, 'labels'), 'Secret.metadata.labels'), ...ownSecretLabel };
      const body = { ...seen, metadata: { ...metadata, labels }, data: encoded };
      return unlessOvertaken(client.send('PUT', `${path}/${name}`, body, signal), [404, 409]);
    },
    /*
     * A JSON patch, which claims caBundle and nothing else. Server-side apply would claim the webhook itself as well: then whoever applies a
     * list without that webhook is refused (422), because what is left of it is no valid webhook.
     */
    async writeBundle(resource, name, seen, bundle, signal) {
      const patch = bundlesOf(seen)
        .filter((webhook) => webhook.bundle !== bundle)
        .flatMap((webhook) => [
          { op: 'test', path: `/webhooks/${webhook.index}/name`, value: webhook.name },
          { op: 'add', path: `/webhooks/${webhook.index}/clientConfig/caBundle`, value: bundle },
        ]);
      if (patch.length === 0) return true;
      const target = `/apis/admissionregistration.k8s.io/v1/${resource}/${name}?fieldManager=${fieldManager}`;
      // 422 is a test that failed: the list is another by now.
      return unlessOvertaken(client.send('PATCH', target, patch, signal, 'application/json-patch+json'), [
        ...[404, 409, 422],
      ]);
    },
  };
}

async function unlessOvertaken(sent: Promise<unknown>, codes: readonly number[]): Promise<boolean> {
  try {
    await sent;
    return true;
  } catch (error) {
    if (error instanceof ApiError && codes.includes(error.status)) return false;
    throw error;
  }
}
