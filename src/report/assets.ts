import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';
import type { Assets } from './page.ts';

/**
 * The page's own style and script. The script's files are joined into one in the order in which they need each other: an inline script cannot
 * import. So that is all they may do: import by name, export by name, and have no name twice.
 */
export function loadAssets(): Assets {
  const extension = import.meta.filename.endsWith('.ts') ? '.ts' : '.js';
  const read = (file: string): string => {
    const text = readFileSync(file, 'utf8');
    return extension === '.ts' ? stripTypeScriptTypes(text) : text;
  };
  return {
    style: readFileSync(join(import.meta.dirname, 'page.css'), 'utf8'),
    script: joinModules(join(import.meta.dirname, 'client', `main${extension}`), read),
  };
}

const imports = /^import\s[^;]*?from\s+'([^']+)';$/gm;

/** @throws Error for a file that imports what is not a file beside it. */
export function joinModules(entry: string, read: (file: string) => string): string {
  const parts = new Map<string, string>();
  const visit = (file: string): void => {
    if (parts.has(file)) return;
    // Taken before those that it needs are visited: a circle ends here.
    parts.set(file, '');
    const text = read(file);
    for (const [, from = ''] of text.matchAll(imports)) {
      if (!from.startsWith('.')) throw new Error(`${file} imports ${from}, which the page does not have`);
      visit(join(dirname(file), from));
    }
    parts.delete(file);
    parts.set(file, text.replaceAll(imports, '').replaceAll(/^export\s+(?!\{)/gm, ''));
  };
  visit(entry);
  return `(() => {\n'use strict';\n${[...parts.values()].join('\n')}\n})();\n`;
}
