import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';

const root = join(import.meta.dirname, '..', 'fixtures');

export type KubeObject = Readonly<Record<string, unknown>>;

/** Objects of one kind out of a file of rendered OSMO manifests, in order. */
export function osmoPods(name: string): readonly KubeObject[] {
  const text = readFileSync(join(root, 'osmo-pods', `${name}.yaml`), 'utf8');
  return parseAllDocuments(text)
    .map((document): unknown => document.toJS())
    .filter((value): value is KubeObject => isKind(value, 'Pod'));
}

/** Names of the files of rendered OSMO manifests. */
export function osmoFiles(): readonly string[] {
  return readdirSync(join(root, 'osmo-pods')).map((name) => name.replace(/\.yaml$/, ''));
}

/** The first pod of a file of rendered OSMO manifests. */
export function osmoPod(name: string): KubeObject {
  const [pod] = osmoPods(name);
  if (pod === undefined) throw new Error(`no Pod in ${name}`);
  return pod;
}

/** A node of the fixture cluster, by name, as the API returns it on its own. */
export function fixtureNode(name: string): KubeObject {
  const node = clusterNodes().find(({ metadata }) => Reflect.get(Object(metadata), 'name') === name);
  if (node === undefined) throw new Error(`no node ${name} in the fixture cluster`);
  return { apiVersion: 'v1', kind: 'Node', ...node };
}

/** Every node of the fixture cluster. */
export function clusterNodes(): readonly KubeObject[] {
  const list: unknown = parse(readFileSync(join(root, 'nodes', 'cluster.yaml'), 'utf8'));
  return Reflect.get(Object(list), 'items');
}

function isKind(value: unknown, kind: string): boolean {
  return Reflect.get(Object(value), 'kind') === kind;
}
