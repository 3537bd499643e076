import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { joinModules, loadAssets } from '../../src/report/assets.ts';
import { parseRoute } from '../../src/report/client/route.ts';
import { selectRows } from '../../src/report/client/select.ts';
import { createDenialCounter } from '../../src/report/denials.ts';
import { createHistorian } from '../../src/report/history.ts';
import { html } from '../../src/report/html.ts';
import { visible, visibleJson } from '../../src/report/visible.ts';
import { createLog, newSigningKey } from '../support/audit-log.ts';
import { runCli } from '../support/cli.ts';
import { addPolicy, policyText, reportLog, reportLogEndMs } from '../support/report-log.ts';
import { inflated, linesOf } from './read.ts';

const directory = mkdtempSync(join(tmpdir(), 'report-'));
afterAll(() => rmSync(directory, { recursive: true }));
const put = (name: string, content: string): string => {
  writeFileSync(join(directory, name), content);
  return join(directory, name);
};

/** The page of a log, and what a person reads of it. */
async function report(
  ...args: readonly string[]
): Promise<{ code: number; page: string; text: string; stderr: string }> {
  const { code, stdout: page, stderr } = await runCli(['log', 'report', ...args], { nowMs: reportLogEndMs });
  const body = page.slice(page.indexOf('<body>'), page.indexOf('<script'));
  return {
    code,
    page,
    stderr,
    text: body
      .replaceAll(/<[^>]*>/g, ' ')
      .replaceAll('&#39;', "'")
      .replaceAll(/\s+/g, ' '),
  };
}

const key = newSigningKey();
const month = put('month.log', await reportLog({ decisions: 900, key }));
const publicKey = put('key.pem', key.publicKey);

describe('log report', () => {
  it('is the same for the same files and the same time', async () => {
    const [one, other] = [await report(month), await report(month, '-o', 'html')];
    expect(one.code).toBe(0);
    expect(one.page).toBe(other.page);
  });

  it('answers whether the control was on', async () => {
    const { text } = await report(month);
    expect(text).toContain(
      'On, with exceptions 1 time without a server in the log; a policy that only records was in force for a time; 3 lines lost.',
    );
    expect(text).toContain('monitor: records, and denies nothing');
    const log = createLog({ key });
    log.start();
    log.decide();
    log.decide({ decision: 'error', error: 'no nodes' });
    const failed = await report(put('error.log', log.text()));
    expect(failed.text).toContain('1 call that could not be judged');
  });

  it('answers whether the log can be trusted, and says what nobody can show', async () => {
    const own = await report(month);
    expect(own.text).toContain(
      'No key was given, so who wrote it is not proven; it was not held against the API server’s log.',
    );
    const trusted = await report(month, '--public-key', publicKey);
    expect(trusted.text).toContain('no break, signed by a trusted key');
    expect(trusted.text).toContain('Cannot show lines cut off the end');
    const broken = await report(
      put('broken.log', readFileSync(month, 'utf8').replace('"decision":"deny"', '"decision":"allow"')),
    );
    expect(broken.text).toContain('No: the chain of 1 of 1 replica is broken');
    expect(broken.text).toMatch(/First break: changed, .*broken\.log:\d+/);
  });

  it('holds it against the API server’s log', async () => {
    const log = createLog({ key });
    log.start();
    const hash = createHash('sha256').update(log.decide()).digest('hex');
    log.stop();
    const event = (auditID: string, annotations: Readonly<Record<string, string>>): string =>
      JSON.stringify({
        ...{
          kind: 'Event',
          apiVersion: 'audit.k8s.io/v1',
          level: 'Metadata',
          auditID,
          stage: 'ResponseComplete',
          verb: 'create',
        },
        ...{
          user: { username: 'eve' },
          objectRef: { resource: 'pods', namespace: 'a-namespace', name: 'a-name', apiVersion: 'v1' },
        },
        ...{ responseStatus: { code: 201 }, annotations },
        ...{ requestReceivedTimestamp: '2026-11-25T12:00:01.000Z', stageTimestamp: '2026-11-25T12:00:01.100Z' },
      });
    const known = event('a', { 'pods.validate.osmo-admission/record-hash': hash });
    const open = event('b', {
      'failed-open.validating.webhook.admission.k8s.io/round_0_index_0': 'pods.validate.osmo-admission',
    });
    const file = put('short.log', log.text());
    const good = await report(file, '--api-audit', put('good.log', `${known}\n`), '--public-key', publicKey);
    expect(good.text).toContain('Yes No break, signed by a trusted key, and as the API server’s log has it.');
    expect(good.text).toMatch(/1 call known to both ?, none that differs/);
    const empty = await report(file, '--api-audit', put('empty.log', ''), '--public-key', publicKey);
    expect(empty.text).toContain(
      'No break, but not all is proven Nothing was compared with the API server’s log: the API server’s log holds no event of an answer.',
    );
    expect(empty.text).not.toContain('none that differs');
    const bare = JSON.parse(event('d', {}));
    const other = JSON.stringify({ ...bare, requestReceivedTimestamp: '2026-11-25T12:00:01.050Z' });
    const partly = await report(
      file,
      '--api-audit',
      put('partly.log', `${known}\n${other}\n`),
      '--public-key',
      publicKey,
    );
    expect(partly.text).toContain('Only a part was compared with the API server’s log');
    const past = await report(file, '--api-audit', put('open.log', `${known}\n${open}\n`));
    expect(past.text).toContain('Not always: 1 request went past it');
    expect(past.text).toContain('eve');
    const both = put('both.log', `${known}\n${open}\n${other}\n`);
    expect((await report(file, '--api-audit', both, '--public-key', publicKey)).text).toContain(
      'Only a part was compared with the API server’s log',
    );
    const lacking = await report(
      file,
      '--api-audit',
      put('lacking.log', `${known}\n${event('c', { 'pods.validate.osmo-admission/record-hash': 'f'.repeat(64) })}\n`),
    );
    expect(lacking.text).toContain('not as the API server’s log has it');
    expect((await report(file, '--api-audit', put('bad.log', 'rubbish\n'))).code).toBe(2);
  });

  it('is not greener than what was shown to it', async () => {
    const log = createLog({ key });
    log.start();
    addPolicy(log, policyText('enforce', 0));
    log.decide();
    log.stop();
    const file = put('fine.log', log.text());
    const alone = await report(file, '--public-key', publicKey);
    expect(alone.text).toContain(
      'On, as far as its own log tells Whether requests went past it is in the API server’s log alone.',
    );
    // An API server's log that knows nothing of it bears nothing out.
    const strange = await report(file, '--public-key', publicKey, '--api-audit', put('none.log', ''));
    expect(strange.text).toContain(
      'No break, but not all is proven Nothing was compared with the API server’s log: the API server’s log holds no event of an answer.',
    );
    expect(strange.text).toContain('On, as far as its own log tells The API server’s log knows none of its decisions.');
    expect(strange.text).not.toMatch(/On all the time|✓/);
    // A rule that is off is not on, whatever the preset.
    const lowered = createLog({ key });
    lowered.start();
    addPolicy(
      lowered,
      policyText('enforce', 0).replace(/(operator-node-guard:\n(?: +#.*\n)* +enforcement:) \S+/, '$1 off'),
    );
    lowered.stop();
    expect((await report(put('lowered.log', lowered.text()))).text).toContain(
      'On, with exceptions 1 rule or reason that the last policy made deny nothing.',
    );
    // What a server never compared is not known.
    expect(alone.text).toContain('Not known: no server of the log compared');
  });

  it('says that it is of a part, where a part was asked for', async () => {
    expect((await report(month)).text).not.toContain('a part of the log');
    const { text } = await report(month, '--since', '2026-11-01', '--until', '2026-11-02');
    expect(text).toMatch(/a part of the log ?, from 2026-11-01 00:00:00, before 2026-11-02 00:00:00, as was asked for/);
    expect(text).toMatch(/All \d+ records of this part of the log are here/);
  });

  it('is made of lines with any time, and says so of those without one', async () => {
    const log = createLog();
    log.start();
    log.decide({ decision: 'deny' });
    const times = ['', 'never', '+275760-09-13T00:00:00.000Z', '-271821-04-20T00:00:00.000Z', '1969-07-20T00:00:00Z'];
    for (const time of times) log.decide({ decision: 'deny', time });
    const { code, text } = await report(put('times.log', log.text()));
    expect(code).toBe(0);
    expect(text).toContain('6 of 6 decisions denied');
    expect(text).toContain('2 lines without a time that can be read');
    const lines = put('undated.log', log.text().split('\n').slice(0, 4).join('\n').concat('\n'));
    expect((await report(lines)).text).toContain('2026-11-25 12:00:00 to 2026-11-25 12:00:01 UTC · 4 lines');
  });

  it('names the rules that denied most, however many a log names', async () => {
    const log = createLog();
    log.start();
    const deny = (rule: string): void =>
      void log.decide({
        decision: 'deny',
        findings: [{ rule, reason: 'r', enforcement: 'enforce', field: '', message: 'm'.repeat(10_000) }],
      });
    for (let i = 0; i < 500; i++) deny(`forged-${i}`);
    for (let i = 0; i < 3; i++) deny('operator-node-guard');
    const { page } = await report(put('rules.log', log.text()));
    const head = /<thead><tr>(<th scope="col">From .*?)<\/tr>/s.exec(page)?.[1] ?? '';
    expect(head.match(/<th/g)).toHaveLength(2 + 12 + 1);
    expect(head).toMatch(/operator-node-guard.*489 other rules/s);
    expect(page.length).toBeLessThan(1_000_000);
  });

  it('leads nowhere to no record', async () => {
    const { page } = await report(month);
    const index = JSON.parse(inflated(/id="record-index">([^<]*)</.exec(page)?.[1] ?? ''));
    const hrefs = new Set([...page.matchAll(/href="(#decisions\?[^"]*)"/g)].map(([, href = '']) => href));
    expect(hrefs.size).toBeGreaterThan(50);
    const empty = [...hrefs]
      .map((href) => parseRoute(href.replaceAll('&amp;', '&')))
      .filter(({ query, order }) => selectRows(index, query, order).length === 0);
    expect(empty.map(({ query }) => query)).toEqual([]);
  });

  it('tells which exemptions were used, and which end', async () => {
    const { text } = await report(month);
    expect(text).toContain('1 exemption ended or will within 14 days');
    expect(text).toContain('2026-12-04, 10 days from the making of this page');
  });

  it('says where its matrix of nodes comes from', async () => {
    expect((await report(month)).text).toContain(
      'From the log: of each node the last decision that held it against the guide.',
    );
    const nodes = join('test', 'fixtures', 'nodes', 'cluster.yaml');
    const live = await report(month, '--nodes', nodes);
    expect(live.text).toContain(`read from the file ${nodes}`);
    // What a node does not show, nobody knows.
    expect(live.text).toContain('6 nodes, 2 without all that the guide asks them to show');
    expect((await report(month, '--nodes', nodes, '--kubeconfig', 'x')).stderr).toContain('not both');
  });

  it('says what was sampled and how', async () => {
    expect((await report(month)).text).toMatch(/All \d+ records of the log are here/);
    const { text } = await report(month, '--max-records', '300');
    expect(text).toMatch(/Sampled\. The log has \d+ records, the page 300 \(at most 300\)/);
  });

  it('writes a file, and refuses what it cannot do', async () => {
    const file = join(directory, 'page.html');
    const { code, page } = await report(month, '--output-file', file);
    expect([code, page]).toEqual([0, '']);
    expect(readFileSync(file, 'utf8')).toBe((await report(month)).page);
    for (const [args, why] of [
      [[], 'give the files'],
      [[month, '-o', 'pdf'], 'use html'],
      [[month, '--max-records', 'many'], 'give a whole number'],
      [[month, '--output-file', join(directory, 'no', 'page.html')], 'no such file'],
    ] as const) {
      const refused = await report(...args);
      expect([refused.code, refused.stderr.includes(why)]).toEqual([2, true]);
    }
    const odd = await report(put('odd.log', `${readFileSync(month, 'utf8')}rubbish\n`));
    expect([odd.code, odd.text.includes('1 line of the files could not be read')]).toEqual([2, true]);
  });

  it('is a page, too, of a log without a line', async () => {
    const { code, text } = await report(put('empty.log', ''));
    expect([code, text.includes('No: there is no line of an audit log')]).toEqual([0, true]);
  });
});

describe('the page', () => {
  it('lets nothing run but its own script and style', async () => {
    const { page } = await report(month);
    const { script, style } = loadAssets();
    const policy = /Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1]?.replaceAll('&#39;', "'") ?? '';
    const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
    expect(policy.split('; ')).toEqual(
      expect.arrayContaining(["default-src 'none'", `script-src ${hash(script)}`, `style-src ${hash(style)}`]),
    );
    expect(policy).not.toMatch(/unsafe|https?:|data:/);
    expect(page).not.toMatch(/<[^>]* (on\w+|style)=|(src|href)="(?!#)/);
  });

  it('has a script that is whole: what it needs, joined, no name twice', () => {
    const { script } = loadAssets();
    expect(script).not.toMatch(/^(import|export)\b/m);
    expect(script).not.toContain('</script');
    // Throws for a name that is there twice.
    expect(() => new Function(script)).not.toThrow();
    expect(() => joinModules('a.js', () => "import { x } from 'lodash';\n")).toThrow('which the page does not have');
  });

  it('makes text of everything that is put into it', () => {
    expect(html`<b title="${'"><script>'}">${['<i>', html`<u>${"'&"}</u>`, undefined, 3]}</b>`.text).toBe(
      '<b title="&quot;&gt;&lt;script&gt;">&lt;i&gt;<u>&#39;&amp;</u>3</b>',
    );
    expect(visible('a\u202eb\u0000\n\ud800')).toBe('a⟨U+202E⟩b⟨U+0000⟩⟨U+000A⟩⟨U+D800⟩');
    // Two names that look alike by what has no shape, or is a blank of another kind.
    expect(visible('a\ufe0f \u3164\u2003\u2800')).toBe('a⟨U+FE0F⟩ ⟨U+3164⟩⟨U+2003⟩⟨U+2800⟩');
    const forged = JSON.stringify({ '\u2066key': '\u202e\u{e0041}', list: [1] }, undefined, 2);
    expect(visibleJson(forged)).toBe('{\n  "\\u2066key": "\\u202e\\udb40\\udc41",\n  "list": [\n    1\n  ]\n}');
    expect(JSON.parse(visibleJson(forged))).toEqual(JSON.parse(forged));
  });
});

describe('the time line', () => {
  it('knows no gap while another server wrote', () => {
    const minute = 60_000;
    const log = (replica: string, fromMs: number, boots: number) => {
      const writer = createLog({ replica, fromMs, paceMs: minute });
      for (let i = 0; i < boots; i++) {
        writer.start();
        writer.decide();
        writer.stop();
        writer.rest(30);
      }
      return linesOf(writer.text());
    };
    const start = Date.UTC(2026, 10, 1);
    const one = log('webhook-0', start, 2);
    const over = createHistorian();
    for (const line of one) over.add(line);
    expect(over.history().gaps).toEqual([{ fromMs: start + 2 * minute, toMs: start + 33 * minute, orderly: true }]);
    for (const line of log('webhook-1', start + minute, 1)) over.add(line);
    expect(over.history().gaps).toEqual([{ fromMs: start + 3 * minute, toMs: start + 33 * minute, orderly: true }]);
  });

  it('counts each denial once, and once for each rule that denied it', async () => {
    const lines = linesOf(await reportLog({ decisions: 900 }));
    const denied = lines.filter(({ value }) => value.decision === 'deny');
    const times = lines.map(({ header }) => Date.parse(header.time));
    const counter = createDenialCounter(Math.min(...times), Math.max(...times), ['operator-node-guard']);
    for (const line of lines) counter.add(line);
    const { totals, byRule } = counter.denials();
    const sum = (list: readonly number[]): number => list.reduce((all, one) => all + one, 0);
    expect(sum(totals)).toBe(denied.length);
    expect(totals.length).toBeLessThanOrEqual(48);
    const guard = denied.filter(
      ({ value }) =>
        JSON.stringify(value.findings).includes('"enforcement":"enforce","field"') &&
        JSON.stringify(value.findings).includes('"rule":"operator-node-guard"'),
    );
    expect(sum(byRule.get('operator-node-guard') ?? [])).toBe(guard.length);
  });
});
