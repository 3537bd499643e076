import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { rules } from '../src/policy/rules/index.ts';
import { exampleMessages } from '../test/golden/examples.ts';
import { generatedFiles, withRulesTable } from './generated.ts';

const root = join(import.meta.dirname, '..');

for (const [path, text] of generatedFiles(rules, await exampleMessages())) {
  const file = join(root, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  console.log(path);
}
const readme = join(root, 'README.md');
await writeFile(readme, withRulesTable(await readFile(readme, 'utf8'), rules));
console.log('README.md');
