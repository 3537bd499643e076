import type { TestProject } from 'vitest/node';
import { type Binaries, type CertManagerFiles, findBinaries, findCertManager, wantedKubernetes } from './binaries.ts';

declare module 'vitest' {
  interface ProvidedContext {
    readonly binaries: Binaries;
    /** The release of Kubernetes that they are of. */
    readonly kubernetes: string;
    /** In the full run only, so that nobody else waits for its build. */
    readonly certManager: CertManagerFiles;
  }
}

/** Builds what is missing before any test's clock runs. */
export default async function setup(project: TestProject): Promise<void> {
  project.provide('kubernetes', wantedKubernetes(process.env).version);
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  project.provide('binaries', await findBinaries(process.env, say));
  if (project.name === 'e2e-full') project.provide('certManager', await findCertManager(process.env, say));
}
