import { createHash } from 'node:crypto';
import { controlAnswer, controlDetails } from './control.ts';
import type { ReportData } from './data.ts';
import { decisionsView, sampledText } from './decisions.ts';
import { type Html, html, markup, stamp } from './html.ts';
import { nodesView } from './nodes.ts';
import { notableAnswer, notableDetails } from './notable.ts';
import { stoppedAnswer, stoppedDetails } from './stopped.ts';
import { trustAnswer, trustDetails } from './trust.ts';
import { cellText } from './visible.ts';
import { durationText, isoText, plural, timeText } from './words.ts';

/** What the page is made with, beside its data: both are ours, and go in as they are. */
export interface Assets {
  readonly style: string;
  readonly script: string;
}

/** The report, one file that asks for no other: the same data give the same bytes. */
export function renderPage(data: ReportData, { style, script }: Assets): string {
  const title = titleOf(data);
  // Nothing is loaded and nothing runs but these two, by their hashes: what a record holds can do neither, whatever it is.
  const policy = [
    "default-src 'none'",
    `style-src '${hashOf(style)}'`,
    `script-src '${hashOf(script)}'`,
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${markup(style)}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
<div class="head"><h1>${title}</h1><p>${periodText(data)}</p></div>
<nav aria-label="Views"><a href="#overview">Overview</a><a href="#decisions">Decisions</a><a href="#nodes">Nodes</a></nav>
<button type="button" id="theme" hidden>Dark</button>
</header>
<main id="main" tabindex="-1">
${overview(data)}
<section id="decisions" aria-labelledby="decisions-title"><h2 id="decisions-title" tabindex="-1">Decisions</h2>${decisionsView(data)}</section>
<section id="nodes" aria-labelledby="nodes-title"><h2 id="nodes-title" tabindex="-1">Nodes, by the on-prem guide</h2>${nodesView(data)}</section>
</main>
<footer><p>Made by <code>osmo-admission log report</code> at ${timeText(data.nowMs)} UTC. Times are UTC. The page asks for nothing from any network.</p></footer>
<script type="text/plain" id="record-index">${markup(data.records.index)}</script>
${data.records.blocks.map(
  (block, index) => html`<script type="text/plain" id="block-${index}">${markup(block)}</script>
`,
)}<script>${markup(script)}</script>
</body>
</html>
`;
  return page.text;
}

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

function titleOf({ history }: ReportData): string {
  return `Admission report${history.cluster === '' ? '' : `: ${clusterText(history.cluster)}`}`;
}

/** A name, and not a line of praise in the largest letters: whoever forges a log names its cluster. */
function clusterText(name: string): string {
  const text = cellText(name);
  return text.length <= maxCluster ? text : `${text.slice(0, maxCluster - 1)}…`;
}

const maxCluster = 63;

function periodText(data: ReportData): Html {
  const { summary } = data;
  const part = partText(data);
  if (summary.lines === 0) return html`No line of an audit log${part}.`;
  return html`${isoText(summary.from)} to ${isoText(summary.to)} UTC · ${plural(summary.lines, 'line')} of ${plural(summary.replicas.length, 'replica')}${part}${endedText(data)}`;
}

/** What was left out on purpose, so that nobody takes a part for the whole. */
function partText({ span: { fromMs, toMs } }: ReportData): Html | undefined {
  const ends = [
    ...(Number.isFinite(fromMs) ? [`from ${timeText(fromMs)}`] : []),
    ...(Number.isFinite(toMs) ? [`before ${timeText(toMs + 1)}`] : []),
  ];
  return ends.length === 0
    ? undefined
    : html` · <strong>a part of the log</strong>, ${ends.join(', ')}, as was asked for`;
}

/** How old the log is, where that is worth a word. */
function endedText({ summary, nowMs }: ReportData): Html | undefined {
  const sinceMs = nowMs - Date.parse(summary.to);
  return sinceMs < 3_600_000 ? undefined : html` · ended ${stamp(durationText(sinceMs))} before this page was made`;
}

interface Question {
  readonly id: string;
  readonly asks: string;
  readonly answer: (data: ReportData) => Html;
  readonly details: (data: ReportData) => Html;
  readonly behind: string;
}

const questions: readonly Question[] = [
  {
    id: 'control',
    asks: 'Was the control on?',
    answer: controlAnswer,
    details: controlDetails,
    behind: 'When it was on',
  },
  {
    id: 'trust',
    asks: 'Can the log be trusted?',
    answer: trustAnswer,
    details: trustDetails,
    behind: 'What bears the log out',
  },
  {
    id: 'stopped',
    asks: 'What was stopped?',
    answer: stoppedAnswer,
    details: stoppedDetails,
    behind: 'What was stopped, over time',
  },
  {
    id: 'standing-out',
    asks: 'Who and what stands out?',
    answer: notableAnswer,
    details: notableDetails,
    behind: 'Who and what stands out',
  },
];

function overview(data: ReportData): Html {
  const answers = questions.map(
    ({ id, asks, answer }) =>
      html`<section class="answer" aria-labelledby="${id}-asks"><h3 id="${id}-asks">${asks}</h3>${answer(data)}</section>`,
  );
  const behind = questions.map(
    ({ id, behind: title, details }) =>
      html`<section class="behind" aria-labelledby="${id}"><h3 id="${id}" tabindex="-1">${title}</h3>${details(data)}</section>`,
  );
  return html`<section id="overview" aria-labelledby="overview-title"><h2 id="overview-title" class="unseen" tabindex="-1">Overview</h2>
<div class="answers">${answers}</div>
<h2>Behind the answers</h2>
${behind}
<section class="behind" aria-labelledby="contents"><h3 id="contents" tabindex="-1">What this page is made of</h3>
<p>${sampledText(data)}</p>
<p>Files: ${data.files.map((file, index) => html`${index === 0 ? '' : ', '}<code>${file}</code>`)}.</p>
<p>What the log says is believed here but for what “Can the log be trusted?” says. Names, users and reasons are chosen by those who are recorded; characters that would hide or reorder text are shown as their code points.</p>
</section></section>`;
}
