import { writeFile } from 'node:fs/promises';
import { loadAssets } from '../../report/assets.ts';
import { renderPage } from '../../report/page.ts';
import { describeFlags, type Flags, helpFlag, parseFlags } from '../flags.ts';
import { type CliIo, describeFileError, exitCodes, UsageError } from '../io.ts';
import { count, plural, readOutput } from './output.ts';
import { gatherReport } from './report-data.ts';
import { readSpan, timeFlags } from './times.ts';

/** A page of so many opens in a few seconds and stays below 20 MB. */
const defaultMaxRecords = 100_000;

const flags: Flags = {
  'api-audit': {
    type: 'string',
    multiple: true,
    value: 'FILE',
    help: 'The API server’s audit log, which alone knows what failed open and what the log lacks. May be given several times.',
  },
  'public-key': {
    type: 'string',
    multiple: true,
    value: 'FILE',
    help: 'PEM of a key that may sign, as "log verify" takes it. May be given several times.',
  },
  kubeconfig: { type: 'string', value: 'FILE', help: 'Adds the guide’s matrix of this cluster’s nodes, read once.' },
  nodes: {
    type: 'string',
    value: 'FILE',
    help: 'The same of nodes as of "kubectl get nodes -o yaml". Without either, nodes are shown as the log last judged them.',
  },
  config: {
    type: 'string',
    value: 'FILE',
    help: 'The policy that nodes are held against, and that says which requests are ours.',
    default: 'the policies that the log itself holds',
  },
  ...timeFlags,
  'max-records': {
    type: 'string',
    value: 'N',
    help: 'Most records in the page. Of more, denials and uses of exemptions come first; the page says what was left out.',
    default: count(defaultMaxRecords),
  },
  'output-file': { type: 'string', value: 'FILE', help: 'Write the page there.', default: 'standard output' },
  output: { type: 'string', short: 'o', value: 'FORMAT', help: 'html.', default: 'html' },
  help: helpFlag,
};

export const reportHelp = `Makes one page of an audit log for whoever reviews: whether the control was on, whether the log can be trusted, what was stopped, who and what
stands out, with a table of the records behind it.

Usage:
  osmo-admission log report FILE... [--api-audit FILE...] [--public-key FILE...] [--kubeconfig FILE | --nodes FILE] [--output-file FILE] [-o html]

Rotated and compressed files of any number of replicas, in any order. The page is one file: it loads nothing, and can be sent by mail.
The same files and the same time give the same page.

Flags:
${describeFlags(flags)}

Exit codes:
  0  written, whatever it says
  2  a line or a file could not be read (such lines are named, and the rest is reported), or called wrongly

Examples:
  osmo-admission log report audit*.log* --output-file report.html
  osmo-admission log report audit*.log* --api-audit kube-apiserver-audit.log --public-key audit-key.pem --kubeconfig ~/.kube/config -o html > report.html
`;

/** `osmo-admission log report`. */
export async function reportLog(args: readonly string[], io: CliIo): Promise<number> {
  const parsed = parseFlags(args, flags, io.env);
  if (parsed.boolean('help')) {
    io.stdout(reportHelp);
    return exitCodes.ok;
  }
  readOutput(parsed.string('output'), ['html']);
  const data = await gatherReport(
    {
      files: parsed.positionals,
      apiFiles: [...new Set(parsed.strings('api-audit'))],
      keyFiles: parsed.strings('public-key'),
      ...{
        kubeconfig: parsed.string('kubeconfig'),
        nodesFile: parsed.string('nodes'),
        config: parsed.string('config'),
      },
      span: readSpan(parsed, io),
      maxRecords: readMaxRecords(parsed.string('max-records')),
    },
    io,
  );
  const page = renderPage(data, loadAssets());
  const file = parsed.string('output-file');
  if (file === undefined) io.stdout(page);
  else await write(file, page, io);
  if (data.badLines > 0) io.stderr(`${plural(data.badLines, 'line')} could not be read\n`);
  return data.badLines > 0 ? exitCodes.failed : exitCodes.ok;
}

function readMaxRecords(given: string | undefined): number {
  const value = Number((given ?? String(defaultMaxRecords)).replaceAll(/[_,]/g, ''));
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new UsageError(`--max-records is ${JSON.stringify(given)}: give a whole number of 1 or more`);
  }
  return value;
}

async function write(file: string, page: string, io: CliIo): Promise<void> {
  try {
    await writeFile(file, page);
  } catch (error) {
    throw new UsageError(describeFileError(file, error));
  }
  io.stderr(`${file}: ${(Buffer.byteLength(page) / 1_000_000).toFixed(1)} MB\n`);
}
