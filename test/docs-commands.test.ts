import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { commandsIn, commandsOf, type DocCommand, pages, patternOf } from './support/doc-commands.ts';

/* Every command that a page tells its reader to run is run by a test. Whoever adds one has to say here by which; a page that is run as a whole needs no entry for it. */

const root = join(import.meta.dirname, '..');

interface Runner {
  readonly page: string;
  /** Left out, the whole page. */
  readonly heading?: string;
  /** Left out, all of it. */
  readonly begins?: string;
  /** The file that runs it. */
  readonly by: string;
  /** Text of that file without which it does not. */
  readonly where: string;
}

const here = 'test/docs-commands.test.ts';
const ci = '.ci/run';
const runners: readonly Runner[] = [
  {
    ...{ page: 'README.md', heading: 'Install it', by: 'test/e2e/journey.test.ts' },
    where: "commandsOf('README.md').filter(({ heading }) => heading === 'Install it')",
  },
  { page: 'README.md', begins: 'npm ci && npm run demo', by: ci, where: 'npm run demo' },
  { page: 'README.md', begins: 'npm ci && npm test', by: ci, where: 'npm test' },
  { page: 'CONTRIBUTING.md', begins: 'npm ci', by: ci, where: 'npm run test:e2e' },
  {
    ...{ page: 'charts/osmo-admission-webhook/README.md', begins: 'helm install', by: here },
    where: 'the chart’s README installs as the README does',
  },
  ...['audit', 'report'].map((page) => ({
    ...{ page: `docs/${page}.md`, begins: 'osmo-admission log', by: 'test/docs.test.ts' },
    where: `['docs/${page}.md', `,
  })),
  { page: 'docs/development.md', begins: 'npm ci', by: here, where: 'names scripts of package.json' },
  // No registry can be reached: docs/image.md says what of it was tried.
  {
    page: 'docs/image.md',
    begins: 'docker buildx build',
    by: 'test/image/dockerfile.test.ts',
    where: 'readDockerfile',
  },
  { page: 'docs/image.md', begins: 'npm run --silent sbom', by: here, where: 'run as they stand there' },
  {
    ...{ page: 'docs/operations.md', begins: 'osmo-admission serve', by: 'test/support/serve-process.ts' },
    where: "'--tls-private-key-file'",
  },
  {
    page: 'docs/operations.md',
    begins: 'openssl',
    by: 'test/e2e/caller.test.ts',
    where: "join(root, 'docs', 'operations.md')",
  },
  { page: 'docs/policy.md', by: here, where: 'run as they stand there' },
  { page: 'docs/troubleshooting.md', by: 'test/e2e/troubleshooting.test.ts', where: 'commandsOf(page)' },
  ...['install', 'upgrade', 'high-availability'].map((page) => ({
    ...{ page: `docs/${page}.md`, by: 'test/e2e/install-docs.test.ts' },
    where: `commandsOf('docs/${page}.md')`,
  })),
  { page: 'docs/try-it.md', begins: 'npm ci && npm run cluster', by: 'test/e2e/try-it.test.ts', where: "'cluster']" },
  { page: 'docs/try-it.md', by: 'test/e2e/try-it.test.ts', where: "commandsOf('docs/try-it.md')" },
];

const runs =
  ({ page, heading, command }: DocCommand) =>
  (runner: Runner): boolean =>
    runner.page === page &&
    (runner.heading === undefined || runner.heading === heading) &&
    (runner.begins === undefined || command.startsWith(runner.begins));

const commands = pages.flatMap(commandsOf);

describe('every command of a page', () => {
  it('is run by a test', () => {
    expect(commands.length).toBeGreaterThan(60);
    const unrun = commands.filter((command) => !runners.some(runs(command)));
    expect(unrun.map(({ page, command }) => `${page}: ${command}`)).toEqual([]);
  });

  it('is there still, and so is what runs it', () => {
    const gone = runners.filter((runner) => !commands.some((command) => runs(command)(runner)));
    expect(gone).toEqual([]);
    const wrong = runners.filter(
      ({ by, where }) => !existsSync(join(root, by)) || !readFileSync(join(root, by), 'utf8').includes(where),
    );
    expect(wrong).toEqual([]);
  });

  it('stands in a block whose language is said, so that none hides', () => {
    const block = (language: string): string => `\`\`\`${language}\nkubectl get pods\n\`\`\`\n`;
    expect(commandsIn('page', block('sh'))).toHaveLength(1);
    for (const language of ['', 'bash', 'shell']) {
      expect(() => commandsIn('page', block(language))).toThrow(`a block of "${language}"`);
    }
  });

  it('is shown with what it prints, where the page says so', () => {
    const text = '# A\n\n```sh\none\n```\n\n```text\n1\n```\n\n```console\n$ two\n2\n$ three\n```\n';
    const of = { page: 'page', heading: 'A' };
    expect(commandsIn('page', text)).toEqual([
      { ...of, command: 'one', shown: '1\n' },
      { ...of, command: 'two', shown: '2\n' },
      { ...of, command: 'three', shown: '' },
    ]);
    expect(patternOf('a (…) b\n').test('a (what\never) b\n')).toBe(true);
    expect(patternOf('a (…) b\n').test('a (whatever) b\nc\n')).toBe(false);
  });
});

describe('links of the pages', () => {
  it('lead to files and headings that are there', () => {
    const broken = pages.flatMap((page) => {
      const text = readFileSync(join(root, page), 'utf8').replaceAll(/^```.*?^```$/gms, '');
      return [...text.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)]
        .filter(([, path = '', anchor]) => {
          const file = path === '' ? join(root, page) : join(root, page, '..', path);
          if (!existsSync(file)) return true;
          return anchor !== undefined && !anchorsIn(readFileSync(file, 'utf8')).includes(anchor);
        })
        .map(([link]) => `${page}: ${link}`);
    });
    expect(broken).toEqual([]);
  });
});

/** Of every heading, as GitHub makes them. */
function anchorsIn(text: string): readonly string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

describe('commands that need no cluster', { timeout: 120_000 }, () => {
  const those = commands.filter(
    ({ page, command }) => page === 'docs/policy.md' || command.startsWith('npm run --silent sbom'),
  );

  it.each(those.map(({ page, command }) => [page, command]))('of %s run as they stand there: %s', (page, command) => {
    const folder = mkdtempSync(join(tmpdir(), 'docs-commands-'));
    try {
      // `npm run` finds the project, and what is written goes where nobody keeps it.
      const env = { ...process.env, PATH: `${join(root, 'bin')}:${process.env.PATH}`, npm_config_prefix: folder };
      const script = command
        .replaceAll(/> ([\w.]+)/g, `> ${folder}/$1`)
        .replaceAll(/check policy/g, `check ${folder}/policy`);
      execFileSync('bash', ['-ec', script], { cwd: root, env, stdio: 'pipe' });
      expect(page).not.toBe('');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('pages for whoever works on it', () => {
  it('docs/development.md and CONTRIBUTING.md: names scripts of package.json', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const named = ['docs/development.md', 'CONTRIBUTING.md'].flatMap((page) =>
      commandsOf(page).flatMap(({ command }) =>
        [...command.matchAll(/npm run ([\w:]+)/g)].map(([, name = '']) => name),
      ),
    );
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
  });

  it('the chart’s README installs as the README does', () => {
    const install = (page: string): string =>
      commandsOf(page).find(({ command }) => command.startsWith('helm install'))?.command ?? '';
    const own = install('README.md').replace(/"\$\{REGISTRY:\?\}([^"]*)"/, 'REGISTRY$1');
    expect(own).toBe(`${install('charts/osmo-admission-webhook/README.md')} --set policy.preset=monitor --wait`);
  });
});
