import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { connect, type Session } from './devtools.ts';

/*
 * A real Chromium, driven by its DevTools protocol (chromedevtools.github.io/devtools-protocol).
 */

export interface Browser {
  readonly version: string;
  /** A new page, of its own: no cookies, no history. */
  page(): Promise<Session>;
  close(): Promise<void>;
}

/** @throws Error that says what to install, where there is no browser. */
export function findChromium(): string {
  const given = process.env.CHROMIUM;
  if (given !== undefined && given !== '') return given;
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const found = (process.env.PATH ?? '')
    .split(delimiter)
    .flatMap((directory) => names.map((name) => join(directory, name)))
    .find((path) => existsSync(path));
  if (found === undefined) {
    throw new Error(
      'These tests need a Chromium: install one ("apt-get install chromium" on Debian), or name it in the environment variable CHROMIUM.',
    );
  }
  return found;
}

export async function startChromium(): Promise<Browser> {
  const directory = mkdtempSync(join(tmpdir(), 'chromium-'));
  const args = [
    ...['--headless=new', '--remote-debugging-port=0', `--user-data-dir=${directory}`, '--no-first-run'],
    ...['--disable-gpu', '--disable-extensions', '--disable-background-networking', '--hide-scrollbars'],
    // Its sandbox refuses to work for root.
    ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    'about:blank',
  ];
  const child = spawn(findChromium(), args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    const lines: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => {
      lines.push(line);
      const found = /^DevTools listening on (ws:\S+)/.exec(line);
      if (found !== null) resolve(found[1] ?? '');
    });
    child.once('error', reject);
    void exited.then(() => reject(new Error(`the browser ended:\n${lines.join('\n')}`)));
  });
  const devtools = await connect(url);
  const { product } = await devtools.root.send<{ product: string }>('Browser.getVersion');
  return {
    version: product,
    async page() {
      const { browserContextId } = await devtools.root.send<{ browserContextId: string }>(
        'Target.createBrowserContext',
      );
      const target = { url: 'about:blank', browserContextId };
      const { targetId } = await devtools.root.send<{ targetId: string }>('Target.createTarget', target);
      return devtools.attach(targetId);
    },
    async close() {
      // It ends before it answers.
      void devtools.root.send('Browser.close');
      await exited;
      devtools.close();
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
