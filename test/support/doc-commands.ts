import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');

/** One thing that a page tells its reader to run. */
export interface DocCommand {
  readonly page: string;
  /** The heading that it stands under. */
  readonly heading: string;
  readonly command: string;
  /** What the page says that it prints; undefined where it says nothing. `…` stands for whatever comes there. */
  readonly shown?: string;
}

/** Pages for whoever installs and runs it, with the chart's own. */
export const pages: readonly string[] = [
  ...['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'charts/osmo-admission-webhook/README.md'],
  ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`),
];

/**
 * Every command in a page's fenced blocks: a `sh` block is one, a script as it would be pasted, and a `text` block right after it is what it prints; of a
 * `console` block each line that begins with `$ ` is one, with what stands below it.
 * @throws Error for a block without a language, or with one that hides commands from this.
 */
export function commandsOf(page: string): readonly DocCommand[] {
  return commandsIn(page, readFileSync(join(root, page), 'utf8'));
}

/** The same of a text. */
export function commandsIn(page: string, text: string): readonly DocCommand[] {
  const found: DocCommand[] = [];
  let heading = '';
  let fence: { readonly language: string; readonly lines: string[] } | undefined;
  let justAbove: DocCommand | undefined;
  for (const line of text.split('\n')) {
    const mark = /^\s*(?:```+|~~~+)(.*)$/.exec(line);
    if (fence === undefined && mark === null) {
      const title = /^#+ (.*)$/.exec(line);
      if (title !== null) heading = title[1] ?? '';
      if (line.trim() !== '') justAbove = undefined;
    } else if (fence === undefined) {
      fence = { language: mark?.[1]?.trim() ?? '', lines: [] };
      if (!languages.includes(fence.language))
        throw new Error(`${page}: a block of "${fence.language}" under "${heading}": one of ${languages.join(', ')}`);
    } else if (mark === null) {
      fence.lines.push(line);
    } else {
      const { language, lines } = fence;
      fence = undefined;
      const body = lines.map((each) => `${each}\n`).join('');
      const above = justAbove;
      justAbove = undefined;
      if (language === 'sh') {
        justAbove = { page, heading, command: body.trimEnd() };
        found.push(justAbove);
      } else if (language === 'text' && above !== undefined) {
        found[found.indexOf(above)] = { ...above, shown: body };
      } else if (language === 'console') {
        for (const step of body.split(/^\$ /m).slice(1)) {
          const end = step.indexOf('\n');
          found.push({ page, heading, command: step.slice(0, end), shown: step.slice(end + 1) });
        }
      }
    }
  }
  return found;
}

const languages = ['sh', 'console', 'text', 'yaml', 'json', 'promql', 'go'];

/** A pattern that what a command really printed has to match as a whole. */
export function patternOf(shown: string): RegExp {
  const parts = shown.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^]*?')}$`);
}
