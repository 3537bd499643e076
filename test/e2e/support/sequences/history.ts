import { readFileSync } from 'node:fs';
import { get } from 'node:https';
import { join } from 'node:path';
import { type ControlPlane, tokenOf } from '../../../cluster/control-plane.ts';
import { eventually } from '../../../cluster/wait.ts';
import { nameOf } from '../pods.ts';

/* A watch of the test's own: every state that an object has had, by resourceVersion. It shares nothing with the product's. */

// biome-ignore lint/suspicious/noExplicitAny: objects of the API server, read by their documented shape.
type Raw = any;

export interface State {
  readonly version: number;
  /** Undefined once it is deleted. */
  readonly object: Raw | undefined;
}

export interface History {
  /** In order; of an object that came back too. */
  of(namespace: string, name: string): readonly State[];
  /** As it was at that resourceVersion, which may be that of any object. */
  at(namespace: string, name: string, version: number): Raw | undefined;
  /** Resolves when the watch has seen that version, or a later one: that of an object of the collection. */
  until(version: number): Promise<void>;
  /** The last version that it has seen. */
  seen(): number;
  /** Resolves to the version at which the object was deleted for the last time. */
  untilDeleted(namespace: string, name: string): Promise<number>;
  close(): void;
}

/** @param path of a collection, such as `/api/v1/nodes`. Resolves when the watch has begun. */
export async function startHistory(plane: ControlPlane, path: string): Promise<History> {
  const { body } = await plane.api.send('GET', path);
  const states = new Map<string, State[]>();
  let seen = 0;
  let ended = '';
  const take = (object: Raw, isGone: boolean): void => {
    const key = keyOf(object.metadata.namespace ?? '', nameOf(object));
    seen = Number(object.metadata.resourceVersion);
    const list = states.get(key) ?? [];
    list.push({ version: seen, object: isGone ? undefined : object });
    states.set(key, list);
  };
  for (const item of body.items) take(item, false);
  seen = Number(body.metadata.resourceVersion);
  const query = `watch=1&resourceVersion=${seen}&timeoutSeconds=7200`;
  const call = get(new URL(`${path}?${query}`, plane.server), {
    ca: readFileSync(join(plane.folder, 'api-ca.crt')),
    headers: { Authorization: `Bearer ${tokenOf('admin')}` },
  });
  call.on('error', (error) => {
    ended = error.message;
  });
  await new Promise<void>((resolve, reject) => {
    call.once('error', reject);
    call.once('response', (response) => {
      let rest = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          const { type, object } = JSON.parse(line);
          if (type === 'ERROR') ended = line;
          else take(object, type === 'DELETED');
        }
      });
      response.on('close', () => {
        ended ||= 'it was closed';
      });
      resolve();
    });
  });
  const wait = async (what: string, condition: () => boolean): Promise<void> => {
    // Mostly it is there already.
    if (condition()) return;
    await eventually(what, () => {
      if (ended !== '') throw new Error(`the watch of ${path} has ended: ${ended}`);
      return condition();
    });
  };
  const of = (namespace: string, name: string): readonly State[] => states.get(keyOf(namespace, name)) ?? [];
  return {
    of,
    at: (namespace, name, version) => of(namespace, name).findLast((state) => state.version <= version)?.object,
    until: (version) => wait(`version ${version} of ${path} is seen`, () => seen >= version),
    seen: () => seen,
    async untilDeleted(namespace, name) {
      const last = (): State | undefined => of(namespace, name).at(-1);
      await wait(`${name} is gone`, () => last() !== undefined && last()?.object === undefined);
      return last()?.version ?? 0;
    },
    close: () => call.destroy(),
  };
}

const keyOf = (namespace: string, name: string): string => `${namespace}/${name}`;
