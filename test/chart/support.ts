import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { isObject, type JsonObject } from '../../src/policy/model/read.ts';
import { runCommand } from '../cluster/control-plane.ts';
import { chart } from '../cluster/release.ts';

export interface Rendered {
  readonly code: number | null;
  readonly stderr: string;
  readonly objects: readonly JsonObject[];
}

/** Does something with a folder that is gone afterwards. */
export async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'chart-'));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** `helm template` with values as a user writes them: a text as it is, anything else as YAML. */
export async function render(values: object | string, ...flags: readonly string[]): Promise<Rendered> {
  return withFolder(async (folder) => {
    const file = join(folder, 'values.yaml');
    writeFileSync(file, typeof values === 'string' ? values : stringify(values));
    const args = ['template', 'osmo-admission-webhook', chart, '--namespace', 'osmo-admission', '--values', file];
    const { code, stdout, stderr } = await runCommand(inject('binaries').helm, [...args, ...flags]);
    const objects = code === 0 ? parseAllDocuments(stdout).map((document): unknown => document.toJS()) : [];
    return { code, stderr, objects: objects.filter(isObject) };
  });
}

/** The objects of values that must be good. @throws Error with what helm says. */
export async function rendered(values: object | string, ...flags: readonly string[]): Promise<readonly JsonObject[]> {
  const { code, stderr, objects } = await render(values, ...flags);
  if (code !== 0) throw new Error(stderr);
  return objects;
}

/** A value inside an object, by its path. */
export function at(object: unknown, ...path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>((value, key) => Reflect.get(Object(value), key), object);
}

/** The one object of a kind, by its name. @throws Error where there is none. */
export function one(objects: readonly JsonObject[], kind: string, name = 'osmo-admission-webhook'): JsonObject {
  const found = objects.find((object) => object.kind === kind && at(object, 'metadata', 'name') === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
}

/** Whether an object is one of a hook, which is no part of the installation. */
export const isHook = (object: JsonObject): boolean =>
  at(object, 'metadata', 'annotations', 'helm.sh/hook') !== undefined;

/** Arguments of the server's container. */
export function argumentsOf(workload: JsonObject): readonly string[] {
  const args = at(workload, 'spec', 'template', 'spec', 'containers', 0, 'args');
  return Array.isArray(args) ? args.map(String) : [];
}
