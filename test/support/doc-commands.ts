import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');

/** A fenced block of a page. */
export interface Block {
  /** The heading that it stands under. */
  readonly heading: string;
  readonly language: string;
  readonly body: string;
  /** Nothing but blank lines stands between it and the block before it. */
  readonly follows: boolean;
}

/** One thing that a page tells its reader to run. */
export interface DocCommand {
  readonly page: string;
  readonly heading: string;
  readonly command: string;
  /** What the page says that it prints; undefined where it says nothing. `…` stands for whatever comes there. */
  readonly shown?: string;
}

/** Every page for people, the chart's own among them. */
export const pages: readonly string[] = [
  ...['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'charts/osmo-admission-webhook/README.md'],
  ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`),
];

const languages = ['sh', 'console', 'text', 'yaml', 'json', 'promql'];

/** @throws Error for a block whose language is not said, or is none of ours: it could hide commands. */
export function blocksIn(page: string, text: string): readonly Block[] {
  const found: Block[] = [];
  let heading = '';
  let follows = false;
  let open: { readonly language: string; readonly lines: string[] } | undefined;
  for (const line of text.split('\n')) {
    const fence = /^\s*(?:```+|~~~+)(.*)$/.exec(line);
    if (open === undefined && fence === null) {
      heading = /^#+ (.*)$/.exec(line)?.[1] ?? heading;
      if (line.trim() !== '') follows = false;
    } else if (open === undefined) {
      open = { language: fence?.[1]?.trim() ?? '', lines: [] };
      if (!languages.includes(open.language))
        throw new Error(`${page}: a block of "${open.language}" under "${heading}"; there are ${languages.join(', ')}`);
    } else if (fence === null) {
      open.lines.push(line);
    } else {
      found.push({ heading, language: open.language, body: open.lines.map((each) => `${each}\n`).join(''), follows });
      open = undefined;
      follows = true;
    }
  }
  return found;
}

export const blocksOf = (page: string): readonly Block[] => blocksIn(page, readFileSync(join(root, page), 'utf8'));

/**
 * Every command in a page's blocks: a `sh` block is one, a script as it would be pasted, and a `text` block right after it is what it prints; of a
 * `console` block each line that begins with `$ ` is one, with what stands below it.
 */
export function commandsIn(page: string, text: string): readonly DocCommand[] {
  const blocks = blocksIn(page, text);
  return blocks.flatMap(({ heading, language, body }, index): readonly DocCommand[] => {
    if (language === 'sh') {
      const next = blocks[index + 1];
      const isShown = next?.language === 'text' && next.follows;
      return [{ page, heading, command: body.trimEnd(), ...(isShown && { shown: next.body }) }];
    }
    if (language !== 'console') return [];
    return body
      .split(/^\$ /m)
      .slice(1)
      .map((step) => {
        const end = step.indexOf('\n');
        return { page, heading, command: step.slice(0, end), shown: step.slice(end + 1) };
      });
  });
}

export const commandsOf = (page: string): readonly DocCommand[] =>
  commandsIn(page, readFileSync(join(root, page), 'utf8'));

/** A pattern that what was really printed has to match as a whole. */
export function patternOf(shown: string): RegExp {
  const parts = shown.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^]*?')}$`);
}
