import { type CliIo, type Command, exitCodes, UsageError } from '../io.ts';
import { printKey } from './key.ts';
import { queryLog } from './query.ts';
import { reconcileLogs } from './reconcile.ts';
import { reportLog } from './report.ts';
import { summarizeLog } from './summary.ts';
import { verifyLog } from './verify.ts';

export const logHelp = `Reads the audit log.

Usage:
  osmo-admission log verify FILE...     says whether the log is as it was written, and where it is not
  osmo-admission log reconcile FILE...  holds it against the API server's own audit log
  osmo-admission log query FILE...      prints records: by time, user, rule, reason, decision, object
  osmo-admission log summary FILE...    sums up
  osmo-admission log report FILE...     makes one page of it, with figures, plots and a table of records
  osmo-admission log key                prints the public key that checkpoints are verified with

"osmo-admission log <command> --help" tells the rest. docs/audit.md is for whoever reviews.
`;

/** `osmo-admission log`. */
export async function log(args: readonly string[], io: CliIo): Promise<number> {
  const commands: Readonly<Record<string, Command>> = {
    ...{ verify: verifyLog, reconcile: reconcileLogs, query: queryLog },
    ...{ summary: summarizeLog, report: reportLog, key: printKey },
  };
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h') {
    io.stdout(logHelp);
    return name === undefined ? exitCodes.failed : exitCodes.ok;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) throw new UsageError(`there is no "log ${name}": use ${Object.keys(commands).join(', ')}`);
  return command(rest, io);
}
