import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Binaries } from '../../cluster/binaries.ts';
import { type ControlPlane, runCommand } from '../../cluster/control-plane.ts';
import { root } from '../../cluster/installation.ts';
import type { DocCommand } from '../../support/doc-commands.ts';

/** How a command ended, with all that it wrote, as a terminal shows it. */
export interface Read {
  readonly code: number | null;
  readonly printed: string;
}

/** Somebody who pastes what a page says into a shell: in a clone, as cluster-admin, with helm, kubectl and the clone's own command on the PATH. */
export interface Reader {
  run(command: DocCommand): Promise<Read>;
  /** Runs this before every later command, as a function that was pasted stays in a shell. */
  keep(command: DocCommand): void;
  /** A variable that later commands find, as an `export` makes it. */
  set(name: string, value: string): void;
}

export function createReader(plane: ControlPlane, { helm, kubectl }: Pick<Binaries, 'helm' | 'kubectl'>): Reader {
  const programs = join(plane.folder, 'programs');
  mkdirSync(programs);
  symlinkSync(helm, join(programs, 'helm'));
  symlinkSync(kubectl, join(programs, 'kubectl'));
  const env: Record<string, string> = {
    // Nothing of this user's own: neither helm's settings nor kubectl's cache.
    HOME: join(plane.folder, 'home'),
    KUBECONFIG: plane.kubeconfig(),
    REGISTRY: 'registry.example.com/osmo',
    PATH: [programs, join(root, 'bin'), process.env.PATH ?? ''].join(':'),
  };
  let kept = '';
  return {
    async run({ command }) {
      const script = `exec 2>&1; cd '${root}'\n${kept}${command}`;
      const { code, stdout } = await runCommand('bash', ['-c', script], '', env);
      return { code, printed: stdout };
    },
    keep({ command }) {
      kept += `${command}\n`;
    },
    set(name, value) {
      env[name] = value;
    },
  };
}
