import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SbomInput } from './sbom.ts';

/** The parts of a bill of materials that the project's own files tell, with SOURCE_DATE_EPOCH from the environment. */
export function sbomSources(project: string): Omit<SbomInput, 'platform' | 'system'> {
  const read = (name: string) => JSON.parse(readFileSync(join(project, name), 'utf8'));
  const epoch = process.env.SOURCE_DATE_EPOCH;
  return {
    manifest: read('package.json'),
    packages: read('package-lock.json').packages,
    runtime: process.versions,
    ...(epoch !== undefined && { epoch: Number(epoch) }),
  };
}
