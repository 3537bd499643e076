import type { DebianPackage } from './debian.ts';

/** What package-lock.json says of a package, as far as it is read here. */
export interface LockedPackage {
  readonly version: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

export interface SbomInput {
  readonly manifest: { readonly name: string; readonly version: string; readonly license: string };
  /** `packages` of package-lock.json. */
  readonly packages: Readonly<Record<string, LockedPackage>>;
  /** Node's `process.versions`: its own version and those of what is linked into it. */
  readonly runtime: Readonly<Record<string, string | undefined>>;
  /** Only what is installed there; else packages for every platform. */
  readonly platform?: { readonly os: string; readonly cpu: string };
  readonly system?: readonly DebianPackage[];
  /** Seconds since 1970, as SOURCE_DATE_EPOCH; without it the document bears no time. */
  readonly epoch?: number;
}

export interface Component {
  readonly type: string;
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
  readonly scope?: 'required' | 'optional';
  readonly purl?: string;
  readonly cpe?: string;
  readonly licenses?: readonly { readonly license: { readonly id: string } }[];
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
  readonly components?: readonly Component[];
}

export interface Sbom {
  readonly bomFormat: 'CycloneDX';
  readonly specVersion: '1.6';
  readonly version: 1;
  readonly metadata: { readonly timestamp?: string; readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

/** Of `process.versions`: not libraries but numbers of interfaces and of data. */
const noLibraries: ReadonlySet<string> = new Set(['node', 'modules', 'napi', 'cldr', 'tz', 'unicode']);

/**
 * The bill of materials, as CycloneDX 1.6: production dependencies as package-lock.json pins them, Node itself, and the system's
 * packages where there are any. Made from the lock, since `npm sbom --omit dev` of npm 11 also leaves out what tests need as well.
 * The same input gives the same text: no serial number, no time of its own.
 */
export function buildSbom({ manifest, packages, runtime, platform, system = [], epoch }: SbomInput): Sbom {
  const installed = new Map(
    Object.entries(packages).filter(([path, entry]) => path !== '' && entry.dev !== true && fits(entry, platform)),
  );
  const self = `pkg:npm/${manifest.name}@${manifest.version}`;
  const node = nodeComponent(runtime);
  const debian = system.map(debianComponent);

  const components = new Map<string, Component>();
  const edges = new Map<string, Set<string>>([[self, resolved('', packages[''], installed)]]);
  for (const [path, entry] of installed) {
    const component = npmComponent(path, entry);
    const ref = component['bom-ref'];
    components.set(ref, component);
    const targets = edges.get(ref) ?? new Set();
    for (const target of resolved(path, entry, installed)) targets.add(target);
    // Node's own packages hold nothing but the program.
    if (/^node-(bin-)?(linux|darwin)-/.test(nameOf(path))) targets.add(node['bom-ref']);
    edges.set(ref, targets);
  }
  edges.set(node['bom-ref'], new Set(debian.map((component) => component['bom-ref'])));
  for (const component of debian) edges.set(component['bom-ref'], new Set());

  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      ...(epoch !== undefined && { timestamp: new Date(epoch * 1000).toISOString() }),
      component: {
        type: 'application',
        'bom-ref': self,
        name: manifest.name,
        version: manifest.version,
        purl: self,
        licenses: [{ license: { id: manifest.license } }],
      },
    },
    components: [...components.values(), node, ...debian].sort((a, b) => order(a['bom-ref'], b['bom-ref'])),
    dependencies: [...edges]
      .sort(([a], [b]) => order(a, b))
      .map(([ref, targets]) => ({ ref, dependsOn: [...targets].sort(order) })),
  };
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const nameOf = (path: string): string => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);

/** https://github.com/package-url/purl-spec: the scope's @ is escaped. */
const purlOf = (path: string, { version }: LockedPackage): string =>
  `pkg:npm/${nameOf(path).replace('@', '%40')}@${version}`;

function fits({ os, cpu }: LockedPackage, platform: SbomInput['platform']): boolean {
  if (platform === undefined) return true;
  return (os?.includes(platform.os) ?? true) && (cpu?.includes(platform.cpu) ?? true);
}

/** Where Node finds what a package asks for: beside its own dependencies, then ever further up. */
function resolved(
  path: string,
  entry: LockedPackage | undefined,
  installed: ReadonlyMap<string, LockedPackage>,
): Set<string> {
  const names = Object.keys({ ...entry?.dependencies, ...entry?.optionalDependencies, ...entry?.peerDependencies });
  const found = names.map((name) => {
    for (let base = path; ; base = base.slice(0, Math.max(0, base.lastIndexOf('/node_modules/')))) {
      const candidate = base === '' ? `node_modules/${name}` : `${base}/node_modules/${name}`;
      const target = installed.get(candidate);
      if (target !== undefined) return [purlOf(candidate, target)];
      if (base === '') return [];
    }
  });
  return new Set(found.flat());
}

function npmComponent(path: string, entry: LockedPackage): Component {
  const purl = purlOf(path, entry);
  const [algorithm, digest] = entry.integrity?.split('-', 2) ?? [];
  return {
    type: 'library',
    'bom-ref': purl,
    name: nameOf(path),
    version: entry.version,
    scope: entry.optional === true ? 'optional' : 'required',
    purl,
    ...(entry.license !== undefined && { licenses: [{ license: { id: entry.license } }] }),
    ...(algorithm === 'sha512' && {
      hashes: [{ alg: 'SHA-512', content: Buffer.from(digest ?? '', 'base64').toString('hex') }],
    }),
  };
}

/** By the name under which the National Vulnerability Database lists Node, so that a scanner finds it. */
function nodeComponent(runtime: SbomInput['runtime']): Component {
  const version = runtime.node ?? '';
  const ref = `pkg:generic/node@${version}`;
  return {
    type: 'platform',
    'bom-ref': ref,
    name: 'node',
    version,
    purl: ref,
    cpe: `cpe:2.3:a:nodejs:node.js:${version}:*:*:*:*:*:*:*`,
    licenses: [{ license: { id: 'MIT' } }],
    components: Object.entries(runtime)
      .filter(([name]) => !noLibraries.has(name))
      .map(([name, linked = '']) => ({ type: 'library', 'bom-ref': `${ref}#${name}`, name, version: linked }))
      .sort((a, b) => order(a.name, b.name)),
  };
}

function debianComponent({ name, version, architecture }: DebianPackage): Component {
  const purl = `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${architecture}`;
  return { type: 'library', 'bom-ref': purl, name, version, purl };
}
