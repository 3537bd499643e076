import type { Summary, Tally } from '../../audit/read/summary.ts';
import { clip } from '../../policy/kube/text.ts';
import { durationText } from '../../report/words.ts';
import { count } from './output.ts';

/** A heading, and rows of two cells. */
interface Section {
  readonly title: string;
  readonly rows: readonly (readonly [string, string])[];
  /** What stands there instead of no rows. */
  readonly none: string;
}

/** Of records that are written when something changes: it may have been so before. */
const notHere = 'no record of it in this time';

/** More rows are counted; JSON has them all. */
const maxRows = 20;

export function renderText(summary: Summary): string {
  return `${sectionsOf(summary)
    .map(({ title, rows, none }) => {
      const width = Math.max(...rows.map(([, right]) => right.length), 0);
      const lines = rows.map(([left, right]) => `  ${right.padStart(width)}  ${shown(left)}`);
      return [title, ...(lines.length === 0 ? [`  ${none}`] : lines)].join('\n');
    })
    .join('\n\n')}\n`;
}

/** A report to be kept. */
export function renderMarkdown(summary: Summary): string {
  const sections = sectionsOf(summary).map(({ title, rows, none }) => {
    const lines = rows.map(([left, right]) => `| ${escaped(left)} | ${right} |`);
    return [
      `## ${title}`,
      '',
      ...(lines.length === 0 ? [`${none}.`] : ['| What | How many |', '| --- | ---: |', ...lines]),
    ].join('\n');
  });
  return `# Admission audit log, ${escaped(summary.from)} to ${escaped(summary.to)}\n\n${sections.join('\n\n')}\n`;
}

function sectionsOf(summary: Summary): readonly Section[] {
  const { denials, policies, noServer, failedOpen } = summary;
  const section = (title: string, tally: Tally, none = 'none'): Section => ({ title, rows: rowsOf(tally), none });
  return [
    {
      title: 'The log',
      rows: [
        [`lines, ${summary.from} to ${summary.to}`, count(summary.lines)],
        ['boots', count(summary.boots)],
        ['dry runs', count(summary.dryRuns)],
        ['lines that the log declares as lost', count(summary.lost)],
      ],
      none: 'none',
    },
    section('Lines by replica', summary.replicas),
    section('Decisions, by phase', summary.decisions),
    section('Decisions, by policy', summary.byPolicy),
    section('Denials by rule', denials.byRule),
    section('Denials by reason', denials.byReason),
    section('Denials by user', denials.byUser),
    section('Denials by namespace', denials.byNamespace),
    section('Findings that denied nothing', summary.otherFindings),
    section('Exemptions used', summary.exemptions),
    {
      title: 'Policies that came into force',
      rows: [
        ...policies
          .slice(0, maxRows)
          .map(({ digest, preset, from, count: times }): readonly [string, string] => [
            `${digest}, preset ${preset}, from ${from}; loaded`,
            count(times),
          ]),
        ...(summary.refusedPolicies === 0 ? [] : [['refused', count(summary.refusedPolicies)] as const]),
      ],
      none: notHere,
    },
    section('Certificates', summary.certificates, notHere),
    section(
      'What the API server did not send',
      summary.configurationGaps.map(({ value, count: times, seconds, open }) => ({
        value: `${value}, for ${durationText(seconds * 1_000)}${open ? ' until the log ends' : ''}`,
        count: times,
      })),
      summary.comparisons === 0 ? `not known: ${notHere}` : 'none',
    ),
    {
      title: 'No server of any replica, as far as their logs were given',
      rows: summary.noReplica
        .slice(0, maxRows)
        .map(({ from, to }) => [`${from} to ${to}`, durationText(Date.parse(to) - Date.parse(from))]),
      none: 'never',
    },
    {
      title: 'No server between two boots of a replica',
      rows: noServer
        .slice(0, maxRows)
        .map(({ replica, from, to, orderly }) => [
          `${replica}: ${from} to ${to}, after ${orderly ? 'an orderly end' : 'no orderly end'}`,
          '1',
        ]),
      none: 'never',
    },
    section(
      'Failed open, by webhook',
      failedOpen ?? [],
      failedOpen === undefined ? 'not known: give --api-audit' : 'never',
    ),
  ];
}

function rowsOf(tally: Tally): readonly (readonly [string, string])[] {
  const rows = tally.slice(0, maxRows).map(({ value, count: number }) => [value, count(number)] as const);
  const rest = tally.slice(maxRows).reduce((sum, { count: number }) => sum + number, 0);
  return rest === 0 ? rows : [...rows, [`and ${count(tally.length - maxRows)} more`, count(rest)]];
}

function shown(text: string): string {
  return clip(text === '' ? '(none)' : text, 300);
}

/** Names are chosen by those who are recorded: nothing of them is markup. */
function escaped(text: string): string {
  return shown(text).replaceAll(/[\\`*_[\]<>|#&]/g, (character) => `\\${character}`);
}
