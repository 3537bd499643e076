import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generatedFiles, withRulesTable } from '../scripts/generated.ts';
import { rules } from '../src/policy/rules/index.ts';

const root = join(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

describe('generated files are what "npm run generate" would write', () => {
  for (const [path, text] of generatedFiles(rules)) {
    it(path, () => expect(read(path)).toBe(text));
  }

  it('README.md, the table of rules', () => {
    expect(read('README.md')).toBe(withRulesTable(read('README.md'), rules));
  });
});
