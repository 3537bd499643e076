/* Prints the bill of materials (CycloneDX) of the package: what production takes from package-lock.json, for every platform, and Node. */
import { join } from 'node:path';
import { buildSbom } from './image/sbom.ts';
import { sbomSources } from './image/sources.ts';

console.log(JSON.stringify(buildSbom(sbomSources(join(import.meta.dirname, '..'))), null, 2));
