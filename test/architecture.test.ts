import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const src = join(root, 'src');

/** Floors of the house: a file imports from its own area, or from a lower floor. */
const floors: readonly (readonly string[])[] = [
  ['policy'],
  ['config', 'cluster', 'admission', 'audit', 'manifests'],
  ['report'],
  ['server', 'cli'],
  ['serve.ts'],
  ['main.ts'],
];

/** Inside policy, downward again: values, then what rules see, then how they judge, then the rules. */
const policyFloors: readonly (readonly string[])[] = [['kube'], ['model'], ['']];

interface Import {
  readonly from: string;
  readonly to: string;
}

function filesBelow(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(directory, name));
}

function importsOf(file: string): readonly Import[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/(?:^|\n)\s*(?:import|export)\b[^'";]*?from\s*'([^']+)'|\bimport\s*\(?\s*'([^']+)'/g)].map(
    (match) => ({
      from: relative(src, file),
      to: match[1] ?? match[2] ?? '',
    }),
  );
}

function target({ from, to }: Import): string | undefined {
  return to.startsWith('.') ? relative(src, resolve(src, dirname(from), to)) : undefined;
}

function floorOf(path: string, levels: readonly (readonly string[])[]): number {
  const first = path.split('/')[0] ?? '';
  const floor = levels.findIndex((areas) => areas.includes(first));
  return floor === -1 ? levels.findIndex((areas) => areas.includes('')) : floor;
}

const imports = filesBelow(src).flatMap(importsOf);

describe('the house', () => {
  it('is read: every source file has imports that are found', () => {
    expect(imports.length).toBeGreaterThan(100);
    expect(imports.some(({ from, to }) => from === 'policy/rules/index.ts' && to === './placement.ts')).toBe(true);
  });

  it('has only known areas', () => {
    expect(readdirSync(src).filter((name) => !floors.flat().includes(name))).toEqual([]);
  });

  it('imports go down only, and no two areas of one floor know each other', () => {
    const wrong = imports.filter((entry) => {
      const to = target(entry);
      if (to === undefined) return false;
      const [fromArea, toArea] = [entry.from.split('/')[0], to.split('/')[0]];
      return fromArea !== toArea && floorOf(to, floors) >= floorOf(entry.from, floors);
    });
    expect(wrong).toEqual([]);
  });

  it('inside policy, imports go down too: kube, model, then the rest', () => {
    const inside = (path: string): string => path.replace(/^policy\//, '');
    const wrong = imports.filter((entry) => {
      const to = target(entry);
      if (to === undefined || !entry.from.startsWith('policy/')) return false;
      return floorOf(inside(to), policyFloors) > floorOf(inside(entry.from), policyFloors);
    });
    expect(wrong).toEqual([]);
  });

  it('policy imports nothing from npm or Node', () => {
    expect(imports.filter(({ from, to }) => from.startsWith('policy/') && !to.startsWith('.'))).toEqual([]);
  });

  it('policy touches no clock, environment, randomness or console', () => {
    const touching = filesBelow(join(src, 'policy')).filter((file) =>
      /\b(Date\.now|new Date\(\)|Math\.random|process\.|console\.|performance\.|setTimeout|fetch\()/.test(
        readFileSync(file, 'utf8'),
      ),
    );
    expect(touching).toEqual([]);
  });

  it('only cluster imports the Kubernetes client', () => {
    expect(imports.filter(({ from, to }) => to.startsWith('@kubernetes/') && !from.startsWith('cluster/'))).toEqual([]);
  });

  it('has no cycles', () => {
    const edges = new Map<string, string[]>();
    for (const entry of imports) {
      const to = target(entry);
      if (to !== undefined) edges.set(entry.from, [...(edges.get(entry.from) ?? []), to]);
    }
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
      if (path.includes(file) || done.has(file)) return;
      for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
      done.add(file);
    };
    for (const file of edges.keys()) visit(file, []);
    expect(cycles).toEqual([]);
  });

  it('keeps files small enough to read in one go', () => {
    const long = filesBelow(src).filter((file) => readFileSync(file, 'utf8').split('\n').length > 320);
    expect(long.map((file) => relative(root, file))).toEqual([]);
  });
});
