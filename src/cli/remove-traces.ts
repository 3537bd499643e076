import type { ApiAccess } from '../cluster/access.ts';
import { type ApiClient, ApiError } from '../cluster/api-client.ts';
import { listAll } from '../cluster/list-all.ts';
import { metadataOnly } from '../cluster/pod-source.ts';
import { ownSecretLabel } from '../manifests/objects.ts';
import { markLabel, verifiedAnnotation } from '../policy/model/node.ts';
import { field, readObject, readStringMap } from '../policy/model/read.ts';
import { readNode } from '../policy/model/read-node.ts';
import { marksOf, sameMarks, unmarked } from '../policy/quarantine.ts';
import { type CliIo, UsageError } from './io.ts';
import { withAccess } from './with-cluster.ts';

export interface Traces {
  /** Path of an object: while it is there, nothing is touched. */
  readonly unless?: string;
  readonly access: ApiAccess;
  /** Name of the webhook configurations. */
  readonly configurations: string;
  readonly namespace: string;
  readonly leases: readonly string[];
  /** With the Certificate that cert-manager makes each for. Those that were made for us alone: the same names may be the operator's. */
  readonly secrets: readonly { readonly name: string; readonly certificate: string }[];
}

const patienceMs = 120_000;

/** Takes away webhook configurations, marks, Leases and Secrets, in that order. @throws UsageError with what the API server said. */
export async function removeTraces(traces: Traces, io: CliIo): Promise<void> {
  const { access, configurations, unless } = traces;
  const signal = AbortSignal.timeout(patienceMs);
  try {
    await withAccess(access, async (client) => {
      if (unless !== undefined && (await isThere(client, unless, signal))) {
        throw new Error(
          `${unless} is there, so the installation is: "helm uninstall" deletes it before this Job, and "helm template" leaves this Job out with --no-hooks`,
        );
      }
      for (const resource of ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations']) {
        const path = `/apis/admissionregistration.k8s.io/v1/${resource}/${configurations}`;
        if (await remove(client, path, signal)) io.stdout(`deleted ${resource}/${configurations}\n`);
      }
      // A server that still runs may have been in the middle of a look when its configurations went.
      while (await removeRest(client, traces, signal, io)) {
        await new Promise((resolve) => setTimeout(resolve, lookMs));
      }
    });
  } catch (error) {
    throw new UsageError(
      `not everything is gone: ${error instanceof Error ? error.message : String(error)}; run it again`,
    );
  }
}

/** A little longer than the server's reconciler takes from one look to the next. */
const lookMs = 6_000;

/** One pass over nodes, Leases and Secrets. @returns whether there was something, so that another pass is due. */
async function removeRest(
  client: ApiClient,
  { namespace, leases, secrets }: Traces,
  signal: AbortSignal,
  io: CliIo,
): Promise<boolean> {
  let found = false;
  const { items } = await listAll(client, '/api/v1/nodes', {}, signal);
  for (const node of items.map((item) => readNode(item, 'Node'))) {
    if (sameMarks(marksOf(node), unmarked)) continue;
    const metadata = { labels: { [markLabel]: null }, annotations: { [verifiedAnnotation]: null } };
    const path = `/api/v1/nodes/${encodeURIComponent(node.name)}`;
    await client.send('PATCH', path, { metadata }, signal, 'application/merge-patch+json');
    io.stdout(`node/${node.name}: mark and annotation taken away\n`);
    found = true;
  }
  for (const lease of leases) {
    const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${lease}`;
    if (!(await remove(client, path, signal))) continue;
    io.stdout(`deleted lease/${lease}\n`);
    found = true;
  }
  for (const { name: secret, certificate } of secrets) {
    const path = `/api/v1/namespaces/${namespace}/secrets/${secret}`;
    if (!(await isOwn(client, path, certificate, signal)) || !(await remove(client, path, signal))) continue;
    io.stdout(`deleted secret/${secret}\n`);
    found = true;
  }
  return found;
}

/** cert-manager writes it on each Secret that it makes, and leaves the Secret behind when the Certificate goes. */
const certificateAnnotation = 'cert-manager.io/certificate-name';

/** Whether the server made it, or cert-manager for our Certificate; false where there is none. */
async function isOwn(client: ApiClient, path: string, certificate: string, signal: AbortSignal): Promise<boolean> {
  try {
    // The key stays where it is.
    const secret = readObject(await client.get(path, {}, signal, metadataOnly), 'Secret');
    const metadata = readObject(field(secret, 'metadata'), 'Secret.metadata');
    const labels = readStringMap(field(metadata, 'labels'), 'Secret.metadata.labels');
    const annotations = readStringMap(field(metadata, 'annotations'), 'Secret.metadata.annotations');
    return (
      annotations[certificateAnnotation] === certificate ||
      Object.entries(ownSecretLabel).every(([key, value]) => labels[key] === value)
    );
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return false;
    throw error;
  }
}

async function isThere(client: ApiClient, path: string, signal: AbortSignal): Promise<boolean> {
  try {
    await client.get(path, {}, signal, metadataOnly);
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return false;
    throw error;
  }
}

/** @returns false where there was nothing. */
async function remove(client: ApiClient, path: string, signal: AbortSignal): Promise<boolean> {
  try {
    await client.send('DELETE', path, {}, signal);
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return false;
    throw error;
  }
}
