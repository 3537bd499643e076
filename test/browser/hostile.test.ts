import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLog } from '../support/audit-log.ts';
import { type Browser, startChromium } from './chromium.ts';
import { makeReports } from './made-report.ts';
import { openReport, type ReportPage } from './report-page.ts';

/*
 * Names and reasons are chosen by those who are recorded, and a forged log may hold anything: none of it runs, hides or breaks what
 * stands around it.
 */

const texts = [
  '<script>globalThis.hacked = 1</script>',
  '</script><script>globalThis.hacked = 2</script>',
  '"><img src=x onerror="globalThis.hacked = 3">',
  '</style><svg onload="globalThis.hacked = 4">',
  'javascript:globalThis.hacked=5',
  '<!--<script>',
  ']]>',
  '<a href="https://example.invalid/">click</a>',
  '\u202egnp.exe\u202c',
  '\u2066\u2067isolates\u2069 never closed \u2066',
  'zero\u200bwidth\u0000nul\u001b[31m',
  '\ud800 half',
  'Z\u0351\u036b\u0343\u036a'.repeat(40),
  'constructor',
  '__proto__',
  "'; DROP TABLE records; --",
  '$\u007bglobalThis.hacked = 6}',
  'field:"value" -not *',
];

const reports = makeReports();
let browser: Browser;
let page: ReportPage;
let names: readonly string[];

beforeAll(async () => {
  browser = await startChromium();
  const log = createLog({ replica: '</script><b>replica' });
  log.start();
  const proto: Readonly<Record<string, unknown>> = JSON.parse(
    '{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}',
  );
  const finding = (text: string) => ({ rule: text, reason: text, enforcement: 'enforce', field: text, message: text });
  for (const text of texts) {
    log.decide({
      ...proto,
      decision: 'deny',
      user: { username: text, groups: [text] },
      objectRef: { apiGroup: '', apiVersion: 'v1', resource: 'pods', subresource: '', namespace: text, name: text },
      findings: [finding(text)],
      exemptions: [{ reason: text, rules: [text] }],
    });
    log.decide({
      decision: 'deny',
      objectRef: { apiGroup: '', apiVersion: 'v1', resource: 'nodes', subresource: '', namespace: '', name: text },
      rules: ['node-conformance'],
      findings: [{ ...finding(text), rule: 'node-conformance', reason: 'cpu' }],
    });
  }
  log.add({
    kind: 'PolicyRecord',
    time: log.time(),
    outcome: 'loaded',
    digest: texts[1] ?? '',
    preset: texts[2] ?? '',
    policyText: texts[3] ?? '',
  });
  log.add({
    kind: 'ConfigurationRecord',
    time: log.time(),
    gaps: texts.map((text) => ({ where: text, message: text })),
  });
  log.decide({
    decision: 'deny',
    user: { username: `megabyte${'x'.repeat(1_000_000)}`, groups: [] },
    findings: [{ ...finding('cpu'), message: 'y'.repeat(1_000_000) }],
  });
  log.decide({ decision: 'deny', user: { username: 'half-a-pair', groups: [] } });
  log.stop();
  // As a file may hold it, and the product writes it nowhere.
  page = await openReport(browser, await reports.make('hostile', log.text().replaceAll('half-a-pair', 'half \\udfff')));
  names = await page.evaluate(
    "[...document.querySelectorAll('#rows tr td:nth-child(3)')].map(({ textContent }) => textContent)",
  );
});
afterAll(async () => {
  await browser?.close();
  reports.remove();
});

describe('a report of a hostile log', () => {
  it('runs nothing, asks for nothing, and opens every record', async () => {
    await page.go('#decisions');
    await page.evaluate("document.querySelectorAll('#rows .open').forEach((button) => button.click())");
    await page.until(
      "[...document.querySelectorAll('.record td')].every(({ textContent }) => textContent !== 'Reading…')",
    );
    for (const view of [
      '#overview',
      '#nodes',
      '#decisions?q=kind:*',
      '#decisions?q=%3Cimg%20src%3Dx%20onerror%3D1%3E',
      '#"><script>',
      '#__proto__',
    ])
      await page.go(view);
    expect(await page.evaluate('globalThis.hacked')).toBeUndefined();
    expect(await page.evaluate('({}).polluted')).toBeUndefined();
    expect(
      await page.evaluate(
        "document.querySelectorAll('img, iframe, object, embed, link, svg[onload], a[href^=javascript], a[href^=http]').length",
      ),
    ).toBe(0);
    expect(page.complaints).toEqual([]);
  });

  it('shows each name as it is, with what would hide or reorder it as code points', async () => {
    for (const text of ['<script>globalThis.hacked = 1</script>', '__proto__', "'; DROP TABLE records; --"])
      expect(names).toContain(text);
    expect(names).toContain('⟨U+202E⟩gnp.exe⟨U+202C⟩');
    expect(names).toContain('half ⟨U+DFFF⟩');
    expect(names).toContain('zero⟨U+200B⟩width⟨U+0000⟩nul⟨U+001B⟩[31m');
    const all = await page.evaluate<string>('document.body.innerText');
    expect(all).not.toMatch(/[\p{Cf}\p{Cs}]/u);
  });

  it('leads from each hostile name to its records', async () => {
    const links = await page.evaluate<readonly string[]>(
      `[...document.querySelectorAll('.tables tr')].map((row) => [row.querySelector('a')?.getAttribute('href'), row.querySelector('td.figure')?.textContent]).filter(([href]) => href).map((pair) => pair.join(' '))`,
    );
    expect(links.length).toBeGreaterThan(texts.length);
    for (const link of links) {
      const [href = '', count] = link.split(' ');
      await page.go(href);
      expect([
        decodeURIComponent(href),
        await page.evaluate("/of ([0-9,]+) records/.exec(document.getElementById('status').textContent)?.[1]"),
      ]).toEqual([decodeURIComponent(href), count]);
    }
  });

  it('cuts a name of a megabyte, and has it whole in its record', async () => {
    await page.go('#decisions?q=megabyte');
    expect(await page.evaluate("document.querySelector('#rows td:nth-child(3)').textContent.length")).toBe(253);
    await page.evaluate("document.querySelector('#rows .open').click()");
    await page.until("document.querySelector('.record button')");
    await page.evaluate("document.querySelector('.record button').focus()");
    await page.press('Enter', 13);
    expect(await page.evaluate('document.activeElement.tagName')).toBe('PRE');
    expect(
      await page.evaluate("JSON.parse(document.querySelector('.record pre').textContent).user.username.length"),
    ).toBe(1_000_008);
  });

  it('is no wider than its window', async () => {
    for (const width of [1440, 390]) {
      await page.look({ width });
      for (const view of ['#overview', '#decisions', '#nodes']) {
        await page.go(view);
        expect(
          await page.evaluate('document.documentElement.scrollWidth <= document.documentElement.clientWidth'),
          `${view} ${width}`,
        ).toBe(true);
      }
    }
  });
});
