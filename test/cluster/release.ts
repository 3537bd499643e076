import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { productName } from '../../src/manifests/objects.ts';
import { type ControlPlane, runCommand, type Said } from './control-plane.ts';
import { namespace, root, untilCalled } from './installation.ts';

/** The chart, as it is in the project. */
export const chart = join(root, 'charts', productName);

/** Values of a chart, as a user writes them. */
export type Values = Readonly<Record<string, unknown>>;

/** A release of the chart, by the real helm. Its pods run where an agent plays them (node-agent/). */
export interface Release {
  /** Any command of helm, as cluster-admin in the release's namespace. */
  helm(...args: readonly string[]): Promise<Said>;
  /** Resolves when its pods are ready and the API server calls them. @throws Error with what helm said. @param from a folder or a package, if not the project's. */
  install(values?: Values, from?: string): Promise<Said>;
  /** With these values alone, where helm takes those of before if none are given; helm waits for the rollout. @param flags more of helm's own; the last one of a name counts. */
  upgrade(values?: Values, from?: string, ...flags: readonly string[]): Promise<Said>;
  /** Resolves when the Job at the end is through. @throws Error with what helm said. */
  uninstall(): Promise<Said>;
}

/** @param helm path of the program. @param where the namespace that it is installed in. */
export function createRelease(
  plane: ControlPlane,
  helm: string,
  name: string = productName,
  where: string = namespace,
): Release {
  const homes = Object.fromEntries(
    ['CACHE', 'CONFIG', 'DATA'].map((kind) => [`HELM_${kind}_HOME`, join(plane.folder, 'helm', kind.toLowerCase())]),
  );
  const run: Release['helm'] = (...args) =>
    runCommand(helm, [...args, '--kubeconfig', plane.kubeconfig(), '--namespace', where], '', homes);
  const must = async (...args: readonly string[]): Promise<Said> => {
    const said = await run(...args);
    if (said.code !== 0) throw new Error(`helm ${args.join(' ')}: ${said.stderr}`);
    return said;
  };
  const put = async (command: string, values: Values, from: string, flags: readonly string[]): Promise<Said> => {
    const file = join(plane.folder, 'values.yaml');
    writeFileSync(file, stringify(values));
    return must(command, name, from, '--values', file, '--wait', '--timeout', '120s', ...flags);
  };
  return {
    helm: run,
    async install(values = {}, from = chart) {
      const said = await put('install', values, from, ['--create-namespace']);
      await untilCalled(plane);
      return said;
    },
    upgrade: (values = {}, from = chart, ...flags) => put('upgrade', values, from, ['--reset-values', ...flags]),
    uninstall: () => must('uninstall', name, '--wait', '--timeout', '120s'),
  };
}
