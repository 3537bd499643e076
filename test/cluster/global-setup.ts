import type { TestProject } from 'vitest/node';
import { type Binaries, findBinaries, wantedKubernetes } from './binaries.ts';

declare module 'vitest' {
  interface ProvidedContext {
    readonly binaries: Binaries;
    /** The release of Kubernetes that they are of. */
    readonly kubernetes: string;
  }
}

/** Builds what is missing before any test's clock runs. */
export default async function setup(project: TestProject): Promise<void> {
  project.provide('kubernetes', wantedKubernetes(process.env).version);
  project.provide('binaries', await findBinaries(process.env, (line) => process.stderr.write(`${line}\n`)));
}
