import type { LabelledNamespaces, LiveConfiguration, LiveInstallation } from '../policy/model/live-configuration.ts';
import { field, readList, readObject, readString } from '../policy/model/read.ts';
import { type ApiClient, ApiError } from './api-client.ts';
import { metadataOnly } from './list-all.ts';

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
    labelled:
      labels.length === 0
        ? { state: 'found', namespaces: [] }
        : await findLabelled(client, labels, exceptNamespaces, signal),
  };
}

/** Whether the mutating configuration is there. @throws Error where nobody can tell. */
export async function hasConfiguration(client: ApiClient, name: string, signal: AbortSignal): Promise<boolean> {
  const found = await readConfiguration(client, 'mutatingwebhookconfigurations', name, signal);
  if (found.state === 'unknown') throw new Error(`whether the webhook is installed cannot be told: ${found.why}`);
  return found.state === 'found';
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

/** As many namespaces as a person can be told of; each costs a request. */
const maxNamespaces = 20;

/**
 * Finds the namespaces one by one, with one pod each: a list of all such pods would hold what their makers wrote into their annotations,
 * hundreds of megabytes if they like.
 */
async function findLabelled(
  client: ApiClient,
  labels: readonly string[],
  exceptNamespaces: readonly string[],
  signal: AbortSignal,
): Promise<LabelledNamespaces> {
  const namespaces: string[] = [];
  try {
    while (namespaces.length < maxNamespaces) {
      const namespace = await firstNamespace(client, labels, [...exceptNamespaces, ...namespaces], signal);
      if (namespace === undefined) break;
      namespaces.push(namespace);
    }
    return { state: 'found', namespaces: namespaces.sort() };
  } catch (error) {
    return { state: 'unknown', why: error instanceof Error ? error.message : String(error) };
  }
}

async function firstNamespace(
  client: ApiClient,
  labels: readonly string[],
  exceptNamespaces: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  const query = {
    limit: '1',
    labelSelector: labels.join(','),
    ...(exceptNamespaces.length > 0 && {
      fieldSelector: exceptNamespaces.map((name) => `metadata.namespace!=${name}`).join(','),
    }),
  };
  const list = readObject(await client.get('/api/v1/pods', query, signal, metadataOnly), 'PodList');
  const [item] = readList(field(list, 'items'), 'PodList.items');
  if (item === undefined) return undefined;
  const metadata = readObject(field(readObject(item, 'PodList.items[0]'), 'metadata'), 'PodList.items[0].metadata');
  const namespace = readString(field(metadata, 'namespace'), 'PodList.items[0].metadata.namespace');
  if (namespace === undefined || exceptNamespaces.includes(namespace)) {
    throw new ApiError(0, 'the API server does not heed the field selector metadata.namespace');
  }
  return namespace;
}
