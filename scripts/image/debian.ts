import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { elfNeeds } from './elf.ts';
import { pathInRoot } from './root-path.ts';

/** A file of the system that a program needs. */
export interface SystemFile {
  /** Where the image has it. */
  readonly path: string;
  /** Where the system has it, by the system's root, links followed. */
  readonly from: string;
}

/** A Debian package, as dpkg's own files tell. */
export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** Its paragraph of dpkg's status file. */
  readonly status: string;
  /** Its licence: debian/copyright. */
  readonly copyright: string;
}

/** Debian's name for an architecture, and the folder of its libraries. */
export interface DebianArchitecture {
  readonly name: string;
  readonly triplet: string;
}

/**
 * The dynamic linker and every library that a program needs, theirs included.
 * @param system root of a Debian system of the program's architecture.
 * @throws Error naming the path of a library that the system has not.
 */
export function librariesOf(program: string, system: string, { triplet }: DebianArchitecture): readonly SystemFile[] {
  const { interpreter, libraries } = elfNeeds(readFileSync(program));
  if (interpreter === undefined) throw new Error(`${program} names no dynamic linker`);
  const found = new Map<string, SystemFile>();
  const add = (name: string, path: string): void => {
    found.set(name, { path, from: pathInRoot(system, path) });
  };
  add(basename(interpreter), interpreter);
  // A name that is added meanwhile is visited too.
  const names = new Set(libraries);
  for (const name of names) {
    if (found.has(name)) continue;
    add(name, `/lib/${triplet}/${name}`);
    for (const next of elfNeeds(readFileSync(join(system, found.get(name)?.from ?? ''))).libraries) names.add(next);
  }
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * The packages that files belong to, each once, by name.
 * @throws Error naming a file that no package has.
 */
export function packagesOf(
  files: readonly SystemFile[],
  system: string,
  { name: architecture }: DebianArchitecture,
): readonly DebianPackage[] {
  const info = join(system, 'var/lib/dpkg/info');
  const owners = new Map<string, string>();
  for (const list of readdirSync(info).filter((name) => name.endsWith('.list'))) {
    const owner = list.slice(0, -'.list'.length).replace(/:.*/, '');
    for (const path of readFileSync(join(info, list), 'utf8').split('\n')) owners.set(withoutUsr(path), owner);
  }
  const names = files.map(({ from }) => {
    const owner = owners.get(withoutUsr(from));
    if (owner === undefined) throw new Error(`no package has ${from}`);
    return owner;
  });
  const paragraphs = readFileSync(join(system, 'var/lib/dpkg/status'), 'utf8').split('\n\n');
  return [...new Set(names)].sort().map((name) => {
    const status = paragraphs.find(
      (text) => field(text, 'Package') === name && [architecture, 'all'].includes(field(text, 'Architecture')),
    );
    if (status === undefined) throw new Error(`dpkg's status has no ${name} for ${architecture}`);
    return {
      name,
      version: field(status, 'Version'),
      architecture,
      status: `${status.trim()}\n`,
      copyright: readFileSync(join(system, pathInRoot(system, `/usr/share/doc/${name}/copyright`)), 'utf8'),
    };
  });
}

/** Since /lib became a link to /usr/lib, dpkg's lists name some files by the one and some by the other. */
const withoutUsr = (path: string): string => path.replace(/^\/usr\//, '/');

const field = (paragraph: string, name: string): string =>
  new RegExp(`^${name}: (.*)$`, 'm').exec(paragraph)?.[1] ?? '';
