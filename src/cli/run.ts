import { SigningKeyError } from '../audit/signing.ts';
import { AccessError } from '../cluster/access.ts';
import { NodesFileError } from '../cluster/nodes-file.ts';
import { PolicyFileError } from '../config/parse.ts';
import { type CliIo, type Command, exitCodes, UsageError } from './io.ts';
import { log } from './log/log.ts';
import { manifests } from './manifests-command.ts';
import { policy } from './policy.ts';
import { review } from './review.ts';
import { uninstall } from './uninstall.ts';

const help = `osmo-admission keeps OSMO workflow pods off operator nodes, places gpu and jetson workloads, and holds nodes to the on-prem guide.

Usage:
  osmo-admission serve      runs the webhook server
  osmo-admission review     judges manifests as the server would, without a cluster
  osmo-admission policy     checks a policy file, prints the defaults or the schema
  osmo-admission manifests  prints what an installation consists of
  osmo-admission log        reads the audit log: verify, reconcile, query, summary, report
  osmo-admission uninstall  takes away what it leaves on nodes
  osmo-admission version    prints the version

"osmo-admission <command> --help" tells the rest.
`;

/** What a person can mend: a message, no stack. */
const mendable = [UsageError, NodesFileError, PolicyFileError, AccessError, SigningKeyError];

/**
 * Runs one command line.
 * @param extra commands that the composition root adds (serve, version): they touch processes and the network.
 * @returns the exit code. Every failure that a person can mend is a message on standard error and exit code 2.
 */
export async function run(
  args: readonly string[],
  io: CliIo,
  extra: Readonly<Record<string, Command>> = {},
): Promise<number> {
  const commands: Readonly<Record<string, Command>> = { review, policy, manifests, log, uninstall, ...extra };
  const [first, ...rest] = args;
  const name = first === '--version' ? 'version' : first;
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    io.stdout(help);
    return name === undefined ? exitCodes.failed : exitCodes.ok;
  }
  try {
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (command === undefined)
      throw new UsageError(`there is no command ${JSON.stringify(name)}: see osmo-admission --help`);
    return await command(rest, io);
  } catch (error) {
    if (mendable.some((kind) => error instanceof kind) && error instanceof Error) {
      io.stderr(`osmo-admission: ${error.message}\n`);
      return exitCodes.failed;
    }
    throw error;
  }
}
