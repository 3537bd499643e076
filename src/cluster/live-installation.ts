import type { LiveConfiguration, LiveInstallation } from '../policy/model/live-configuration.ts';
import { field, readList, readObject, readString } from '../policy/model/read.ts';
import { type ApiClient, ApiError } from './api-client.ts';

/** Kinds of webhook configurations, with the resource that each is read from. */
const kinds = [
  ['MutatingWebhookConfiguration', 'mutatingwebhookconfigurations'],
  ['ValidatingWebhookConfiguration', 'validatingwebhookconfigurations'],
] as const;

export interface LiveInstallationQuery {
  /** Name of the webhook configurations. */
  readonly name: string;
  /** Keys that a pod must all bear to be looked for; none = no pod is. */
  readonly labels: readonly string[];
  /** Namespaces in which no pod is looked for. */
  readonly exceptNamespaces: readonly string[];
  readonly signal: AbortSignal;
}

/**
 * Reads what the API server goes by: two objects by name, and the metadata, never more, of pods that bear the labels elsewhere. Never
 * throws: what cannot be read is part of the answer.
 */
export async function readLiveInstallation(
  client: ApiClient,
  { name, labels, exceptNamespaces, signal }: LiveInstallationQuery,
): Promise<LiveInstallation> {
  const configurations = await Promise.all(
    kinds.map(async ([kind, resource]) => [kind, await readConfiguration(client, resource, name, signal)] as const),
  );
  return {
    configurations: new Map(configurations),
    labelled: labels.length === 0 ? new Map() : await readLabelled(client, labels, exceptNamespaces, signal),
  };
}

async function readConfiguration(
  client: ApiClient,
  resource: string,
  name: string,
  signal: AbortSignal,
): Promise<LiveConfiguration> {
  try {
    const value = await client.get(`/apis/admissionregistration.k8s.io/v1/${resource}/${name}`, {}, signal);
    return { state: 'found', object: readObject(value, resource) };
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return { state: 'absent' };
    return { state: 'unknown', why: error instanceof Error ? error.message : String(error) };
  }
}

/** Only metadata, in the API server's own shortened form: names of namespaces are all that is wanted of a pod. */
const metadataOnly = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io';

async function readLabelled(
  client: ApiClient,
  labels: readonly string[],
  exceptNamespaces: readonly string[],
  signal: AbortSignal,
): Promise<LiveInstallation['labelled']> {
  const query = {
    labelSelector: labels.join(','),
    ...(exceptNamespaces.length > 0 && {
      fieldSelector: exceptNamespaces.map((name) => `metadata.namespace!=${name}`).join(','),
    }),
    // From the API server's cache: etcd is not asked for it.
    resourceVersion: '0',
  };
  try {
    const list = readObject(await client.get('/api/v1/pods', query, signal, metadataOnly), 'PodList');
    const counts = new Map<string, number>();
    for (const [index, item] of readList(field(list, 'items'), 'PodList.items').entries()) {
      const path = `PodList.items[${index}].metadata`;
      const metadata = readObject(field(readObject(item, path), 'metadata'), path);
      const namespace = readString(field(metadata, 'namespace'), `${path}.namespace`) ?? '';
      counts.set(namespace, (counts.get(namespace) ?? 0) + 1);
    }
    return new Map([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  } catch (error) {
    return { why: error instanceof Error ? error.message : String(error) };
  }
}
