import { stringify } from 'yaml';
import { idOf } from '../policy/decide.ts';
import { clip } from '../policy/kube/text.ts';
import type { PatchOperation } from '../policy/model/edit.ts';
import type { Judged, Judgement } from './judge.ts';

/** How results are written: `text` for people, `json` and `yaml` for programs. */
export const outputFormats = ['text', 'json', 'yaml'] as const;
export type OutputFormat = (typeof outputFormats)[number];

export function renderJudgements(judgements: readonly Judgement[], format: OutputFormat): string {
  if (format === 'text') return `${judgements.map(renderText).join('\n')}\n${summaryLine(judgements)}\n`;
  const report = {
    apiVersion: 'osmo-admission/v1alpha1',
    kind: 'ReviewReport',
    results: judgements.map(toResult),
    summary: countOutcomes(judgements),
  };
  return format === 'json' ? `${JSON.stringify(report, null, 2)}\n` : stringify(report, { lineWidth: 0 });
}

export function countOutcomes(judgements: readonly Judgement[]): Readonly<Record<string, number>> {
  const count = (outcome: string): number => judgements.filter((judgement) => judgement.outcome === outcome).length;
  return {
    admitted: count('admitted'),
    denied: count('denied'),
    notJudged: count('not judged'),
    failed: count('failed'),
  };
}

function summaryLine(judgements: readonly Judgement[]): string {
  const { admitted = 0, denied = 0, notJudged = 0, failed = 0 } = countOutcomes(judgements);
  const parts = [`${admitted} admitted`, `${denied} denied`];
  if (notJudged > 0) parts.push(`${notJudged} not judged`);
  if (failed > 0) parts.push(`${failed} could not be read`);
  return parts.join(', ');
}

function renderText(judgement: Judgement): string {
  if (judgement.outcome === 'failed')
    return `${judgement.source}: could not be judged\n  error: ${judgement.message}\n`;
  const what = `${judgement.kind.toLowerCase()}/${clip(judgement.name === '' ? '(no name)' : judgement.name, 253)}`;
  const where = judgement.kind === 'Node' ? '' : ` in ${clip(judgement.namespace, 63)}`;
  const head = `${what}${where} (${judgement.source})`;
  if (judgement.outcome === 'not judged') return `${head}: not judged\n  ${judgement.why}\n`;
  const lines = [`${head}: ${judgement.outcome.toUpperCase()}`];
  if (judgement.note !== '') lines.push(`  ${judgement.note}`);
  for (const { reason, rules } of judgement.exemptions) lines.push(`  exempt from ${rules.join(', ')}: ${reason}`);
  lines.push(
    ...judgement.findings.map(
      (finding) =>
        `  ${finding.enforcement === 'enforce' ? 'denied' : finding.enforcement}: ${finding.message} ${idOf(finding)}`,
    ),
  );
  lines.push(...judgement.warnings.map((warning) => `  Warning: ${warning}`));
  const labels = renderLabels(judgement);
  if (labels !== '') lines.push(`  labels: ${labels}`);
  lines.push(...renderFacts(judgement));
  if (judgement.patch.length > 0) lines.push('  patch:', ...renderPatch(judgement.patch).map((line) => `    ${line}`));
  return `${lines.join('\n')}\n`;
}

/** Enough for every label that OSMO sets. */
const maxLabels = 20;

/** The object's labels as mutation leaves them, in one line. */
function renderLabels({ labels }: Judged): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${clip(key, 64)}=${clip(value, 64)}`);
  const more = pairs.length > maxLabels ? `, and ${pairs.length - maxLabels} more` : '';
  return pairs.slice(0, maxLabels).join(', ') + more;
}

function renderFacts({ facts }: Judged): readonly string[] {
  if (facts.length === 0) return [];
  const width = Math.max(...facts.map(({ reason }) => reason.length));
  const rows = facts.map(
    ({ reason, verdict, has, needs, guide }) =>
      `    ${reason.padEnd(width)}  ${verdict.padEnd(8)}  ${has === '' ? '(not shown)' : has}; needs ${needs} (${rowOrNone(guide)})`,
  );
  return ['  the guide, as this node shows it:', ...rows];
}

/** The guide's row, or that it has none. */
export function rowOrNone(guide: string): string {
  return guide === '' ? 'no row of the guide' : guide;
}

/** A patch as lines that each begin with `+`, values as YAML below the path they are put at, or with `-` for what goes. */
export function renderPatch(patch: readonly PatchOperation[]): readonly string[] {
  return patch.flatMap((operation) => {
    const { path } = operation;
    if (operation.op === 'remove') return [`- ${readablePath(path)}`];
    const { value } = operation;
    const at = `+ ${readablePath(path)}:`;
    if (typeof value !== 'object' || value === null) return [`${at} ${String(value)}`];
    const yaml = stringify(value, { lineWidth: 0 }).trimEnd();
    return [at, ...yaml.split('\n').map((line) => `+   ${line}`)];
  });
}

/** `/spec/tolerations/-` as `spec.tolerations[+]`: `+` is the end of the list. */
function readablePath(path: string): string {
  return path
    .split('/')
    .slice(1)
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((segment, index) => {
      if (segment === '-') return '[+]';
      if (/^\d+$/.test(segment)) return `[${segment}]`;
      if (/[./]/.test(segment)) return `[${segment}]`;
      return index === 0 ? segment : `.${segment}`;
    })
    .join('');
}

function toResult(judgement: Judgement): Readonly<Record<string, unknown>> {
  if (judgement.outcome === 'failed')
    return { source: judgement.source, outcome: judgement.outcome, error: judgement.message };
  const { source, outcome, kind, namespace, name } = judgement;
  if (judgement.outcome === 'not judged') return { source, outcome, kind, namespace, name, why: judgement.why };
  return {
    source,
    outcome,
    kind,
    namespace,
    name,
    ...(judgement.note !== '' && { note: judgement.note }),
    rules: judgement.rules,
    ...(judgement.denial !== undefined && { status: judgement.denial }),
    findings: judgement.findings.map(({ rule, reason, enforcement, field, message }) => ({
      rule,
      reason,
      enforcement,
      field,
      message,
    })),
    warnings: judgement.warnings,
    exemptions: judgement.exemptions,
    patch: judgement.patch,
    labels: judgement.labels,
    facts: judgement.facts.map(({ reason, verdict, has, needs, guide, field }) => ({
      reason,
      verdict,
      has,
      needs,
      guide,
      field,
    })),
  };
}
