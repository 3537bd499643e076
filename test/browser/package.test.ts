import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reportLog } from '../support/report-log.ts';
import { type Browser, startChromium } from './chromium.ts';
import { makeReports } from './made-report.ts';
import { openReport } from './report-page.ts';

const root = join(import.meta.dirname, '..', '..');
const reports = makeReports();
let browser: Browser;

beforeAll(async () => {
  browser = await startChromium();
});
afterAll(async () => {
  await browser?.close();
  reports.remove();
});

describe('the published package', () => {
  it('makes a report that works as that of the sources does', async () => {
    execFileSync('npm', ['run', '--silent', 'build'], { cwd: root });
    writeFileSync(reports.path('a.log'), await reportLog({ decisions: 200 }));
    const page = reports.path('built.html');
    const args = [join(root, 'dist', 'main.js'), 'log', 'report', reports.path('a.log'), '--output-file', page];
    execFileSync(process.execPath, args, { stdio: 'pipe' });
    const opened = await openReport(browser, page, '#decisions?q=decision:deny');
    expect(opened.complaints).toEqual([]);
    await opened.evaluate("document.querySelector('#rows .open').click()");
    await opened.until("document.querySelector('.record pre')");
  });
});
