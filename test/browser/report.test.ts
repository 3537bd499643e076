import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newSigningKey } from '../support/audit-log.ts';
import { reportLog } from '../support/report-log.ts';
import { type Browser, startChromium } from './chromium.ts';
import { makeReports } from './made-report.ts';
import { openReport, type ReportPage } from './report-page.ts';

const reports = makeReports();
const pictures = join('coverage', 'report');
let browser: Browser;
let file: string;
let log: string;
let page: ReportPage;

beforeAll(async () => {
  mkdirSync(pictures, { recursive: true });
  browser = await startChromium();
  log = await reportLog({ decisions: 2_000, key: newSigningKey() });
  file = await reports.make('month', log, '--nodes', join('test', 'fixtures', 'nodes', 'cluster.yaml'));
  page = await openReport(browser, file);
});
afterAll(async () => {
  await browser?.close();
  reports.remove();
});

const status = (): Promise<string> => page.evaluate("document.getElementById('status').textContent");
const found = async (): Promise<number> =>
  Number((/of ([\d,]+) records/.exec(await status())?.[1] ?? '0').replaceAll(',', ''));
const visible = (id: string): Promise<boolean> => page.evaluate(`document.getElementById('${id}').checkVisibility()`);

describe('a report in Chromium', () => {
  it('opens without a complaint, and asks for nothing', () => expect(page.complaints).toEqual([]));

  it('shows its answers on one screen', async () => {
    await page.look({ width: 1440, height: 900 });
    await page.go('#overview');
    const bottom = await page.evaluate<number>("document.querySelector('.answers').getBoundingClientRect().bottom");
    expect(bottom).toBeLessThanOrEqual(900);
  });

  it('leads from each figure to just the records that it counts', async () => {
    const figures = await page.evaluate<readonly (readonly [string, number])[]>(`
      [...document.querySelectorAll('.ranking li, .tables tr, .legend li, .behind tr')]
        .map((row) => [row.querySelector('a[href^="#decisions"]')?.getAttribute('href'), Number((row.querySelector('.number') ?? row.querySelector('td.figure'))?.textContent.replaceAll(',', ''))])
        .filter(([href, count]) => href && Number.isFinite(count) && /decision%3Adeny|exemption|enforcement|dryrun/.test(href))`);
    expect(figures.length).toBeGreaterThan(60);
    const wrong: string[] = [];
    for (const [href, count] of figures) {
      await page.go(href);
      const shown = await found();
      // A finding may stand in a record more than once, by its field.
      const counts = href.includes('enforcement') ? shown <= count && shown > 0 === count > 0 : shown === count;
      if (!counts) wrong.push(`${decodeURIComponent(href)}: ${count} on the overview, ${shown} in the table`);
    }
    expect(wrong).toEqual([]);
  });

  it('filters as one types, and keeps filter, order and page in the address', async () => {
    await page.go('#decisions');
    const all = await found();
    await page.evaluate("document.getElementById('filter').focus()");
    await page.type('decision:deny rule:operator-node-guard');
    await page.until("location.hash.includes('operator-node-guard')");
    const few = await found();
    expect(few).toBeGreaterThan(0);
    expect(few).toBeLessThan(all);
    await page.evaluate("document.querySelector('th[data-sort=user] button').click()");
    expect(await page.evaluate("document.querySelector('th[data-sort=user]').getAttribute('aria-sort')")).toBe(
      'ascending',
    );
    const again = await openReport(browser, file, await page.evaluate('location.hash'));
    expect(
      await again.evaluate(
        "[document.getElementById('status').textContent, document.getElementById('filter').value, document.querySelector('#rows').textContent]",
      ),
    ).toEqual(
      await page.evaluate(
        "[document.getElementById('status').textContent, document.getElementById('filter').value, document.querySelector('#rows').textContent]",
      ),
    );
    await page.evaluate("document.getElementById('clear').click()");
    expect(await found()).toBe(all);
    await page.evaluate(
      "[...document.querySelectorAll('#pages button')].find(({ textContent }) => textContent === 'Next').click()",
    );
    expect(await status()).toContain('101 to 200 of');
    await page.evaluate('history.back()');
    await page.until("document.getElementById('status').textContent.startsWith('1 to 100')");
  });

  it('opens a record as it stands in the log', async () => {
    await page.go('#decisions?q=decision:deny');
    await page.evaluate("document.querySelector('#rows .open').focus()");
    await page.press('Enter', 13);
    await page.until("document.querySelector('.record pre')");
    const shown: unknown = JSON.parse(await page.evaluate("document.querySelector('.record pre').textContent"));
    expect(
      log
        .split('\n')
        .filter((line) => line.includes('"deny"'))
        .map((line) => JSON.parse(line)),
    ).toContainEqual(shown);
    expect(await page.evaluate("document.querySelector('#rows .open').getAttribute('aria-expanded')")).toBe('true');
    await page.press('Enter', 13);
    await page.until("!document.querySelector('.record')");
  });

  it('is walked through by keyboard in the order of what is seen', async () => {
    const fresh = await openReport(browser, file);
    const reached: string[] = [];
    for (let i = 0; i < 5; i++) {
      await fresh.press('Tab', 9);
      reached.push(await fresh.evaluate('document.activeElement.textContent'));
    }
    expect(reached).toEqual(['Skip to the content', 'Overview', 'Decisions', 'Nodes', 'Dark']);
    // The first leads to what is shown, whatever view it is.
    await fresh.go('#decisions?q=decision:deny');
    await fresh.evaluate("document.querySelector('.skip').focus()");
    await fresh.press('Enter', 13);
    expect(await fresh.evaluate('[document.activeElement.id, location.hash]')).toEqual([
      'main',
      '#decisions?q=decision:deny',
    ]);
    // Enter in the filter sends nothing: its policy would refuse it aloud.
    await fresh.evaluate("document.getElementById('filter').focus()");
    await fresh.press('Enter', 13);
    expect(fresh.complaints).toEqual([]);
    // Bars of plots are in no one's way: the table beside them has the same links.
    expect(
      await page.evaluate("[...document.querySelectorAll('svg a')].every(({ tabIndex }) => tabIndex === -1)"),
    ).toBe(true);
  });

  it('turns dark and light by its button', async () => {
    const colour = (): Promise<string> => page.evaluate('getComputedStyle(document.body).backgroundColor');
    await page.look({ scheme: 'light' });
    const light = await colour();
    await page.evaluate("document.getElementById('theme').click()");
    const dark = await colour();
    expect(dark).not.toBe(light);
    await page.look({ scheme: 'dark' });
    expect(await colour()).toBe(dark);
    await page.evaluate("document.getElementById('theme').click()");
    expect(await colour()).toBe(light);
  });

  it('prints all views, in light colours', async () => {
    await page.look({ scheme: 'dark' });
    await page.pdf(reports.path('month.pdf'));
    expect(readFileSync(reports.path('month.pdf'), 'latin1').slice(0, 5)).toBe('%PDF-');
    await page.print(true);
    expect(await Promise.all(['overview', 'decisions', 'nodes'].map(visible))).toEqual([true, true, true]);
    expect(await page.evaluate('getComputedStyle(document.documentElement).colorScheme')).toBe('light');
    await page.print(false);
  });

  it('tells all but the table without its script', async () => {
    const still = await openReport(browser, file, '', { script: false });
    expect(still.complaints).toEqual([]);
    expect(await still.evaluate("document.querySelector('#nodes').checkVisibility()")).toBe(true);
    expect(await still.evaluate("document.querySelector('noscript').checkVisibility()")).toBe(true);
    // Nothing that is dead without it.
    expect(
      await still.evaluate(
        "['filter', 'status', 'records', 'theme'].some((id) => document.getElementById(id).checkVisibility())",
      ),
    ).toBe(false);
  });
});

describe('axe-core finds nothing', () => {
  const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  for (const scheme of ['light', 'dark'] as const) {
    for (const width of [1440, 390]) {
      it(`${scheme}, ${width} pixels wide`, async () => {
        // Its own policy keeps every other script out: for this one a page of its own is opened without it.
        const bare = await openReport(browser, file, '', { bypass: true });
        await bare.look({ scheme, width, height: 900 });
        await bare.evaluate(axe);
        for (const hash of ['#overview', '#decisions?q=decision:deny', '#nodes']) {
          await bare.go(hash);
          if (hash.includes('deny')) {
            await bare.evaluate("document.querySelector('#rows .open').click()");
            await bare.until("document.querySelector('.record pre')");
          }
          // For people to look at.
          await bare.screenshot(join(pictures, `${hash.slice(1).split('?')[0]}-${scheme}-${width}.png`));
          const violations = await bare.evaluate<readonly unknown[]>(
            'axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map(({ html, failureSummary }) => [html.slice(0, 200), failureSummary])]))',
          );
          expect(violations, hash).toEqual([]);
          expect(
            await bare.evaluate('document.documentElement.scrollWidth <= document.documentElement.clientWidth'),
            hash,
          ).toBe(true);
        }
      });
    }
  }
});

describe('a log of 100,000 decisions', () => {
  it('makes a page below 20 MB that opens, filters and sorts', async () => {
    const big = await reports.make('big', await reportLog({ decisions: 100_000 }));
    const { size } = statSync(big);
    expect(size).toBeLessThan(20_000_000);
    const opened = await openReport(browser, big);
    console.log(
      `100,000 decisions: ${(size / 1e6).toFixed(1)} MB, ready ${opened.readyMs.toFixed(0)} ms after the navigation`,
    );
    expect(opened.complaints).toEqual([]);
    await opened.go('#decisions?q=decision:deny&sort=user');
    expect(await opened.evaluate("document.getElementById('status').textContent")).toMatch(
      /1 to 100 of [\d,]+ records/,
    );
    await opened.evaluate("document.querySelector('#rows .open').click()");
    await opened.until("document.querySelector('.record pre')");
  });

  it('says what it left out of a longer one', async () => {
    const sampled = await openReport(browser, await reports.make('sampled', log, '--max-records', '500'));
    await sampled.go('#decisions?q=kind:*');
    expect(await sampled.evaluate("document.getElementById('status').textContent")).toBe(
      '1 to 100 of 500 records that match.',
    );
    expect(await sampled.evaluate("document.getElementById('decisions').textContent")).toContain('Sampled.');
  });
});
