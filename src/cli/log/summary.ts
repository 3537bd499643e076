import { createSummarizer, type Summary } from '../../audit/read/summary.ts';
import { describeFlags, type Flags, helpFlag, parseFlags } from '../flags.ts';
import { type CliIo, exitCodes } from '../io.ts';
import { eachEvent } from './events.ts';
import { plural, readOutput } from './output.ts';
import { renderMarkdown, renderText } from './render-summary.ts';
import { readSpan, timeFlags } from './times.ts';
import { apiEventText, createBadLines, eachLine, openLog } from './walk.ts';

const flags: Flags = {
  'api-audit': {
    type: 'string',
    multiple: true,
    value: 'FILE',
    help: 'The API server’s audit log, which alone knows what failed open. May be given several times.',
  },
  ...timeFlags,
  output: { type: 'string', short: 'o', value: 'FORMAT', help: 'text, markdown or json.', default: 'text' },
  help: helpFlag,
};

export const summaryHelp = `Sums up an audit log: decisions, denials by rule, reason, user and namespace, exemptions used, policies in force, gaps.

Usage:
  osmo-admission log summary FILE... [--since TIME] [--until TIME] [--api-audit FILE...] [-o text|markdown|json]

Rotated and compressed files, in any order. What the log says is believed: "log verify" first.

Flags:
${describeFlags(flags)}

Exit codes:
  0  printed
  1  there is no line to sum up
  2  a line or a file could not be read (such lines are named, and the rest is summed up), or called wrongly
`;

/** `osmo-admission log summary`. */
export async function summarizeLog(args: readonly string[], io: CliIo): Promise<number> {
  const parsed = parseFlags(args, flags, io.env);
  if (parsed.boolean('help')) {
    io.stdout(summaryHelp);
    return exitCodes.ok;
  }
  const format = readOutput(parsed.string('output'), ['text', 'markdown', 'json']);
  const apiFiles = [...new Set(parsed.strings('api-audit'))];
  const { fromMs, toMs } = readSpan(parsed, io);
  const log = await openLog(parsed.positionals, io, { more: apiFiles });
  const bad = createBadLines(io, log.progress);
  const summarizer = createSummarizer(apiFiles.length > 0);
  // What bears no time that can be read is left out by none.
  const isIn = (ms: number): boolean => !(ms < fromMs || ms > toMs);
  await eachLine(log, bad, (line) => {
    if (isIn(Date.parse(line.header.time))) summarizer.line(line);
  });
  await eachEvent(apiFiles, log, (event, where) => {
    if (event === 'bad') bad.add(where, apiEventText);
    else if (isIn(event.receivedMs)) summarizer.event(event);
  });
  log.progress.clear();
  const summary = summarizer.summary();
  if (summary.lines === 0 && bad.count() === 0) {
    const why = log.lines === 0 ? ': the files are empty' : ' in the time that was asked for';
    io.stderr(`osmo-admission: there is no line to sum up${why}\n`);
    if (format === 'json') io.stdout(jsonOf(summary, 0));
    return exitCodes.denied;
  }
  if (format === 'json') io.stdout(jsonOf(summary, bad.count()));
  else io.stdout(format === 'markdown' ? renderMarkdown(summary) : renderText(summary));
  if (bad.count() > 0) io.stderr(`${plural(bad.count(), 'line')} could not be read\n`);
  return bad.count() > 0 ? exitCodes.failed : exitCodes.ok;
}

function jsonOf(summary: Summary, unreadableLines: number): string {
  const head = { apiVersion: 'osmo-admission/v1alpha1', kind: 'LogSummary' };
  return `${JSON.stringify({ ...head, ...summary, unreadableLines }, null, 2)}\n`;
}
