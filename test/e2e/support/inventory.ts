import type { ControlPlane } from '../../cluster/control-plane.ts';

/** Labels and annotations of every object of a cluster, by resource, namespace and name. */
export type Inventory = ReadonlyMap<string, string>;

/** Lists every resource that can be listed, in every version that the API server prefers; CRDs too. */
export async function takeInventory({ api }: ControlPlane): Promise<Inventory> {
  const { body } = await api.send('GET', '/apis');
  const paths = [
    '/api/v1',
    ...body.groups.map(({ preferredVersion }: { preferredVersion: { groupVersion: string } }) => {
      return `/apis/${preferredVersion.groupVersion}`;
    }),
  ];
  const found = new Map<string, string>();
  for (const path of paths) {
    const { resources } = (await api.send('GET', path)).body;
    for (const { name: resource, verbs } of resources as readonly { name: string; verbs: readonly string[] }[]) {
      if (!verbs.includes('list')) continue;
      for (const { metadata } of await api.list(`${path}/${resource}`)) {
        const { namespace = '', name, labels = {}, annotations = {} } = Object(metadata);
        found.set(
          `${path.replace(/^\/apis?\//, '')}/${resource} ${namespace}/${name}`,
          sorted({ labels, annotations }),
        );
      }
    }
  }
  return found;
}

/** What is there now and was not, is another than before, or has gone. Lines, sorted. */
export function differences(before: Inventory, after: Inventory): readonly string[] {
  const lines = [
    ...[...after.keys()].filter((key) => !before.has(key)).map((key) => `+ ${key}`),
    ...[...before.keys()].filter((key) => !after.has(key)).map((key) => `- ${key}`),
    ...[...before]
      .filter(([key, text]) => after.has(key) && after.get(key) !== text)
      .map(([key, text]) => `~ ${key}: ${text} is now ${after.get(key)}`),
  ];
  return lines.sort();
}

const sorted = (value: { readonly labels: object; readonly annotations: object }): string =>
  JSON.stringify(Object.entries(value).map(([kind, map]) => [kind, Object.entries(map).sort()]));
