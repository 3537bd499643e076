import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { conformanceId } from '../src/policy/facts/conformance.ts';
import { createMetrics } from '../src/server/metrics.ts';
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
