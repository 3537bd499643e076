import type { TestProject } from 'vitest/node';
import { type Binaries, findBinaries } from './binaries.ts';

declare module 'vitest' {
  interface ProvidedContext {
    readonly binaries: Binaries;
  }
}

/** Builds what is missing before any test's clock runs. */
export default async function setup(project: TestProject): Promise<void> {
  project.provide('binaries', await findBinaries(process.env, (line) => process.stderr.write(`${line}\n`)));
}
