import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generatedFiles, withRulesTable } from '../scripts/generated.ts';
import { guideOf, guideRows } from '../src/policy/facts/guide.ts';
import { reasons } from '../src/policy/facts/reasons.ts';
import { rules } from '../src/policy/rules/index.ts';
import { exampleMessages } from './golden/examples.ts';

const root = join(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

describe('generated files are what "npm run generate" would write', async () => {
  for (const [path, text] of generatedFiles(rules, await exampleMessages())) {
    it(path, () => expect(read(path)).toBe(text));
  }

  it('README.md, the table of rules', () => {
    expect(read('README.md')).toBe(withRulesTable(read('README.md'), rules));
  });
});

describe('docs/guide.md', () => {
  const table = read('docs/guide.md')
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.split(' | '));

  for (const reason of reasons) {
    it(`names ${reason} beside every row of the guide that asks for it`, () => {
      const named = table
        .filter((cells) => cells.slice(1).join().includes(`\`${reason}\``))
        .flatMap(([rows = '']) => rows.replace('| ', '').split('; '));
      expect(named).toEqual(expect.arrayContaining(guideRows[reason].map(({ row }) => row)));
    });
  }
});

describe('the guide’s row of a reason', () => {
  it.each([
    ['cpu', 'operator', 'Backend-Operator Nodes: CPU'],
    ['cpu', 'control-plane', 'Kubernetes Cluster: CPU'],
    ['cpu', 'gpu', ''],
    ['os-image', 'jetson', 'Compute Nodes (User Workflows): Operating System (GPU nodes)'],
    ['os-image', undefined, 'Kubernetes Cluster: Operating System'],
    ['driver', 'compute', ''],
    ['type-facts', 'gpu', 'derived from Compute Nodes (User Workflows): Node Labels'],
    ['operator-untainted', 'operator', 'Backend-Operator Nodes: Taints, optional'],
  ] as const)('%s of a node of type %s: %s', (reason, type, row) => expect(guideOf(reason, type)).toBe(row));
});
