import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import type { Browser } from './chromium.ts';

/** A report that is open in the browser. */
export interface ReportPage {
  /** Milliseconds from the navigation to the page's own mark that it is ready. */
  readonly readyMs: number;
  /** What the page said or broke: messages of its console, exceptions, refusals of its content security policy, requests but for itself. */
  readonly complaints: readonly string[];
  /** The value of an expression. @throws Error with the exception. */
  evaluate<T>(expression: string): Promise<T>;
  /** Waits until an expression is true. */
  until(expression: string): Promise<void>;
  type(text: string): Promise<void>;
  press(key: string, code?: number): Promise<void>;
  go(hash: string): Promise<void>;
  look(options: Look): Promise<void>;
  /** Of the whole page, not of the window alone. */
  screenshot(file: string): Promise<void>;
  /** Whether the page looks as it does on paper. */
  print(on: boolean): Promise<void>;
  pdf(file: string): Promise<void>;
}

export interface Look {
  readonly scheme?: 'light' | 'dark';
  readonly width?: number;
  readonly height?: number;
}

export interface OpenOptions {
  /** Whether scripts run; the page's own is awaited then. */
  readonly script?: boolean;
  /** Whether the page's content security policy is passed over, for scripts of the tests. */
  readonly bypass?: boolean;
}

/** @param hash what the address says after the file. */
export async function openReport(
  browser: Browser,
  file: string,
  hash = '',
  { script = true, bypass = false }: OpenOptions = {},
): Promise<ReportPage> {
  const session = await browser.page();
  const complaints: string[] = [];
  const url = pathToFileURL(file).href;
  session.on('Runtime.consoleAPICalled', ({ args }) => complaints.push(`console: ${JSON.stringify(args)}`));
  session.on('Runtime.exceptionThrown', ({ exceptionDetails }) => complaints.push(JSON.stringify(exceptionDetails)));
  session.on('Log.entryAdded', ({ entry }) => complaints.push(JSON.stringify(entry)));
  session.on('Page.javascriptDialogOpening', ({ message }) => {
    complaints.push(`dialog: ${String(message)}`);
    void session.send('Page.handleJavaScriptDialog', { accept: true });
  });
  session.on('Network.requestWillBeSent', ({ documentURL, request }) => {
    const asked = String(Reflect.get(Object(request), 'url'));
    if (asked.replace(/#.*/s, '') !== url) complaints.push(`request of ${String(documentURL)}: ${asked}`);
  });
  for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await session.send(`${domain}.enable`);
  const look = ({ scheme = 'light', width = 1440, height = 900 }: Look): Promise<unknown> =>
    Promise.all([
      session.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false }),
      session.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] }),
    ]);
  await look({});
  const evaluate = async <T>(expression: string): Promise<T> => {
    const { result, exceptionDetails } = await session.send<{
      result: { value: T };
      exceptionDetails?: { exception?: { description?: string }; text: string };
    }>('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails !== undefined) {
      throw new Error(
        `${expression.slice(0, 200)}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`,
      );
    }
    return result.value;
  };
  const until = async (expression: string): Promise<void> => {
    while (!(await evaluate<boolean>(`Boolean(${expression})`)))
      await new Promise((resolve) => setTimeout(resolve, 20));
  };
  const press = async (key: string, code = 0): Promise<void> => {
    const event = { key, code: key, windowsVirtualKeyCode: code, ...(key === 'Enter' && { text: '\r' }) };
    await session.send('Input.dispatchKeyEvent', { type: key === 'Enter' ? 'keyDown' : 'rawKeyDown', ...event });
    await session.send('Input.dispatchKeyEvent', { type: 'keyUp', ...event });
  };
  if (!script) await session.send('Emulation.setScriptExecutionDisabled', { value: true });
  if (bypass) await session.send('Page.setBypassCSP', { enabled: true });
  await session.send('Page.navigate', { url: `${url}${hash}` });
  const ready = script
    ? "document.documentElement?.dataset.ready === ''"
    : "document.readyState === 'complete' && location.protocol === 'file:'";
  await until(ready);
  return {
    complaints,
    evaluate,
    until,
    press,
    readyMs: await evaluate<number>("performance.getEntriesByName('report-ready')[0]?.startTime ?? 0"),
    type: async (text) => void (await session.send('Input.insertText', { text })),
    go: async (hash) => {
      await evaluate(
        `new Promise((resolve) => { if (location.hash === ${JSON.stringify(hash)}) return resolve(); addEventListener('hashchange', () => setTimeout(resolve), { once: true }); location.hash = ${JSON.stringify(hash)}; })`,
      );
    },
    look: async (options) => void (await look(options)),
    async screenshot(target) {
      const clip = await clipOf(evaluate);
      const { data } = await session.send<{ data: string }>('Page.captureScreenshot', {
        captureBeyondViewport: true,
        clip,
      });
      writeFileSync(target, Buffer.from(data, 'base64'));
    },
    print: async (on) => void (await session.send('Emulation.setEmulatedMedia', { media: on ? 'print' : '' })),
    async pdf(target) {
      const { data } = await session.send<{ data: string }>('Page.printToPDF', {
        printBackground: true,
        preferCSSPageSize: true,
        paperWidth: 8.27,
        paperHeight: 11.69,
      });
      writeFileSync(target, Buffer.from(data, 'base64'));
    },
  };
}

async function clipOf(evaluate: <T>(expression: string) => Promise<T>): Promise<object> {
  const [width, height] = await evaluate<[number, number]>(
    '[document.documentElement.clientWidth, document.documentElement.scrollHeight]',
  );
  return { x: 0, y: 0, width, height, scale: 1 };
}
