import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { conformanceId } from '../src/policy/facts/conformance.ts';
import { rules } from '../src/policy/rules/index.ts';
import { createMetrics } from '../src/server/metrics.ts';
import { createLog, newSigningKey } from './support/audit-log.ts';
import { runCli } from './support/cli.ts';
import { record } from './support/record.ts';

const root = join(import.meta.dirname, '..');
const files = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => join('docs', name))];
const texts = new Map(files.map((path) => [path, readFileSync(join(root, path), 'utf8')]));

const metrics = createMetrics({
  nodes: () => ({ state: 'synced', count: 1, ageSeconds: 1 }),
  certificateExpiry: () => 1,
  quarantine: () => ({ leading: true, marked: 1, reported: 1 }),
  auditFailing: () => true,
});
const rendered = async (): Promise<string> => (await metrics.render()).text;
const typesIn = (text: string): readonly string[] =>
  [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name = '']) => name).sort();
/** Of a histogram as PromQL has it. */
const namesIn = (text: string): readonly string[] =>
  [...text.matchAll(/osmo_admission_[a-z_]+/g)].map(([name]) => name.replace(/_(bucket|count|sum)$/, ''));

describe('metrics and the docs', () => {
  it('every name in the docs is a metric that is rendered', async () => {
    const known = typesIn(await rendered());
    const unknown = [...texts].flatMap(([path, text]) =>
      namesIn(text)
        .filter((name) => !known.includes(name))
        .map((name) => `${path}: ${name}`),
    );
    expect(unknown).toEqual([]);
  });

  it('every metric is in the table of docs/operations.md', async () => {
    const rows = (texts.get('docs/operations.md') ?? '').split('\n').filter((line) => line.startsWith('| `osmo_'));
    expect([...new Set(namesIn(rows.join('\n')))].sort()).toEqual(typesIn(await rendered()));
  });

  it('the alert on refusals selects what a refused node is counted as', async () => {
    const finding = { rule: conformanceId, reason: 'cpu', enforcement: 'enforce', field: '', message: '' };
    metrics.decided(record({ verb: 'create', decision: 'deny', findings: [finding] }));
    const sample = (await rendered()).split('\n').find((line) => line.startsWith('osmo_admission_decisions_total{'));
    const [, selector = ''] =
      /OsmoNodesRefused\n\s+expr: .*osmo_admission_decisions_total\{(.*?)\}/.exec(
        texts.get('docs/operations.md') ?? '',
      ) ?? [];
    expect(selector).not.toBe('');
    for (const label of selector.split(', ')) expect(sample).toContain(label);
  });
});

describe.each([
  ['docs/audit.md', 16],
  ['docs/report.md', 2],
])('the commands of %s', (page, least) => {
  const text = texts.get(page) ?? '';
  const commands = [
    ...new Set([...text.matchAll(/osmo-admission (log [^`\n#>]+)/g)].map(([, command = '']) => command.trim())),
  ];

  it('run as they stand there, and show what they should', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'docs-'));
    try {
      const key = newSigningKey();
      const log = createLog({ key });
      const time = log.time();
      log.start();
      log.add({ kind: 'PolicyRecord', time, outcome: 'loaded', digest: 'd'.repeat(64), preset: 'enforce' });
      log.add({ kind: 'ConfigurationRecord', time, gaps: [] });
      const finding = { reason: 'a-reason', enforcement: 'enforce', field: '', message: '' };
      const denial = { decision: 'deny', exemptions: [{ reason: 'backups', rules: ['placement'] }] } as const;
      const node = { apiGroup: '', apiVersion: 'v1', resource: 'nodes', subresource: '', namespace: '', name: 'NAME' };
      log.decide({ ...denial, findings: rules.map(({ id }) => ({ ...finding, rule: id })) });
      log.decide({ ...denial, objectRef: node, user: { username: 'USER', groups: [] } });
      log.lose(1);
      log.stop();
      const put = (name: string, content: string): string => {
        writeFileSync(join(directory, name), content);
        return join(directory, name);
      };
      const pem = key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
      const files: Readonly<Record<string, string>> = {
        FILES: put('audit.log', log.text()),
        'audit*.log*': join(directory, 'audit.log'),
        API_FILE: put('api.log', ''),
        'kube-apiserver-audit.log': join(directory, 'api.log'),
        'audit-key.pem': put('key.pem', key.publicKey),
        'signing.pem': put('signing.pem', pem),
        'nodes.yaml': join(root, 'test', 'fixtures', 'nodes', 'cluster.yaml'),
        'report.html': join(directory, 'report.html'),
      };
      // `log verify` alone names the command.
      const whole = commands.filter((command) => command.split(' ').length > 2);
      expect(whole.length).toBeGreaterThanOrEqual(least);
      for (const command of whole) {
        const { code, stdout, stderr } = await runCli(command.split(/ +/).map((word) => files[word] ?? word));
        expect(`${command}: ${code} ${code === 2 ? stderr : ''}`).toMatch(/: [01] $/);
        // A query yields evidence where the log holds some; of CSV the first row says what the columns are.
        const rows = stdout.trimEnd().split('\n').length - (command.includes('-o csv') ? 1 : 0);
        if (command.startsWith('log query'))
          expect(`${command}: ${rows > 0 ? stderr : 'nothing'}`).toBe(`${command}: `);
      }
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

it('docs/audit.md has a row for every rule', () => {
  for (const { id } of rules) expect(texts.get('docs/audit.md')).toContain(`| \`${id}\` |`);
});

describe('docs/security-model.md', () => {
  const text = texts.get('docs/security-model.md') ?? '';

  it('names tests and code that exist', () => {
    const named = [...text.matchAll(/`((?:test|src|webhook-config)\/[\w./-]+|ways-around-[a-z]+)`/g)].map(
      ([, name = '']) => (name.startsWith('ways-around-') ? `test/e2e/${name}.test.ts` : name),
    );
    expect(named.length).toBeGreaterThan(40);
    expect(named.filter((name) => !existsSync(join(root, name)))).toEqual([]);
  });
});

describe('docs/rules.md', () => {
  const text = readFileSync(join(root, 'docs', 'rules.md'), 'utf8');
  for (const { id } of rules) it(`says what ${id} means`, () => expect(text.includes(`\n## ${id}\n`)).toBe(true));
});
