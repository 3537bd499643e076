import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import {
  field,
  isObject,
  type JsonObject,
  readList,
  readObject,
  readString,
  ShapeError,
} from '../policy/model/read.ts';

/** How to reach an API server, and as whom. */
export interface ApiAccess {
  readonly server: string;
  /** PEM; undefined = the system's roots. */
  readonly ca: string | undefined;
  readonly clientCert: string | undefined;
  readonly clientKey: string | undefined;
  /** The bearer token now; read again from its file, because mounted tokens are replaced before they expire. */
  readonly token: () => Promise<string | undefined>;
}

/** Access that cannot be had; the message names the file, the path in it and the fix. */
export class AccessError extends Error {
  override readonly name = 'AccessError';
}

const mount = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Access of a pod, by its service account. @throws AccessError outside a cluster. */
export async function loadInClusterAccess(
  env: Readonly<Record<string, string | undefined>>,
  directory: string = mount,
): Promise<ApiAccess> {
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '443' } = env;
  if (host === '') {
    throw new AccessError(
      'there is no API server here: KUBERNETES_SERVICE_HOST is not set. Give --kubeconfig FILE, or --nodes FILE to work without one',
    );
  }
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    ca: await readPem(`${directory}/ca.crt`),
    clientCert: undefined,
    clientKey: undefined,
    token: tokenFrom(`${directory}/token`),
  };
}

/** Access by the current context of a kubeconfig. Exec and auth-provider plugins are not supported. @throws AccessError */
export async function loadKubeconfigAccess(file: string): Promise<ApiAccess> {
  let document: unknown;
  try {
    document = parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new AccessError(
      `${file}: cannot be read as a kubeconfig: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  try {
    return await readKubeconfig(document, file);
  } catch (error) {
    if (error instanceof ShapeError) throw new AccessError(`${file}: ${error.message}`);
    throw error;
  }
}

async function readKubeconfig(document: unknown, file: string): Promise<ApiAccess> {
  const root = readObject(document, 'the kubeconfig');
  const current = readString(field(root, 'current-context'), 'current-context') ?? '';
  const context = named(root, 'contexts', 'context', current);
  const cluster = named(root, 'clusters', 'cluster', readString(field(context, 'cluster'), 'context.cluster') ?? '');
  const user = named(root, 'users', 'user', readString(field(context, 'user'), 'context.user') ?? '');
  const server = readString(field(cluster, 'server'), 'cluster.server');
  if (server === undefined) throw new ShapeError('cluster.server', 'is missing');
  if (field(cluster, 'insecure-skip-tls-verify') === true) {
    throw new ShapeError(
      'cluster.insecure-skip-tls-verify',
      'is not supported: what the webhook knows of nodes must come from the real API server; give certificate-authority',
    );
  }
  for (const plugin of ['exec', 'auth-provider']) {
    if (field(user, plugin) !== undefined)
      throw new ShapeError(`user.${plugin}`, 'is not supported: give a token, tokenFile or client certificate');
  }
  const pem = async (object: JsonObject, key: string): Promise<string | undefined> => {
    const data = readString(field(object, `${key}-data`), `${key}-data`);
    if (data !== undefined) return Buffer.from(data, 'base64').toString('utf8');
    const path = readString(field(object, key), key);
    return path === undefined ? undefined : readPem(resolve(dirname(file), path));
  };
  const token = readString(field(user, 'token'), 'user.token');
  const tokenFile = readString(field(user, 'tokenFile'), 'user.tokenFile');
  return {
    server: server.replace(/\/$/, ''),
    ca: await pem(cluster, 'certificate-authority'),
    clientCert: await pem(user, 'client-certificate'),
    clientKey: await pem(user, 'client-key'),
    token:
      token !== undefined || tokenFile === undefined
        ? () => Promise.resolve(token)
        : tokenFrom(resolve(dirname(file), tokenFile)),
  };
}

/** The entry of a kubeconfig's list that has a name. */
function named(root: JsonObject, list: string, key: string, name: string): JsonObject {
  for (const [index, value] of readList(field(root, list), list).entries()) {
    const entry = readObject(value, `${list}[${index}]`);
    if (isObject(entry) && field(entry, 'name') === name)
      return readObject(field(entry, key), `${list}[${index}].${key}`);
  }
  throw new ShapeError(list, `has no entry named ${JSON.stringify(name)}, which current-context leads to`);
}

function tokenFrom(path: string): () => Promise<string> {
  return async () => (await readPem(path)).trim();
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new AccessError(`${path}: cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}
