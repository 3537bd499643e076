import { createPolicyParser } from '../config/parse.ts';
import { printDefaults } from '../config/print-defaults.ts';
import { policySchema } from '../config/schema.ts';
import { defaultNamespace } from '../manifests/objects.ts';
import { rules } from '../policy/rules/index.ts';
import { describeFlags, type Flags, helpFlag, parseFlags } from './flags.ts';
import { installedFlag } from './installed-flag.ts';
import { type CliIo, exitCodes, UsageError } from './io.ts';
import { printLacks } from './lacks.ts';
import { readText } from './review.ts';

const flags: Flags = {
  config: {
    type: 'string',
    value: 'FILE',
    help: 'The policy file to check; may also be given as an argument, - reads standard input.',
    env: 'OSMO_ADMISSION_CONFIG',
  },
  kubeconfig: {
    type: 'string',
    value: 'FILE',
    help: 'Also compare the policy with the webhook configurations of this cluster, and name every gap.',
  },
  namespace: installedFlag,
  help: helpFlag,
};

export const policyHelp = `Works on policy files.

Usage:
  osmo-admission policy check FILE|-   says everything that is wrong with a policy file, with line and path, and what it leaves open;
                                       with --kubeconfig, also what the cluster does not send to the webhook
  osmo-admission policy defaults       prints the defaults, commented: a policy file to start from
  osmo-admission policy schema         prints the JSON Schema of the policy file

Flags:
${describeFlags(flags)}

Exit codes:
  0  the file is good, and so is the cluster if one was given
  1  the cluster has a gap
  2  the file has errors, or it or the cluster could not be read
`;

/** `osmo-admission policy`. */
export async function policy(args: readonly string[], io: CliIo): Promise<number> {
  const parsed = parseFlags(args, flags, io.env);
  const [verb, ...rest] = parsed.positionals;
  if (parsed.boolean('help') || verb === undefined) {
    io.stdout(policyHelp);
    return verb === undefined && !parsed.boolean('help') ? exitCodes.failed : exitCodes.ok;
  }
  switch (verb) {
    case 'defaults':
      io.stdout(printDefaults(rules));
      return exitCodes.ok;
    case 'schema':
      io.stdout(`${JSON.stringify(policySchema(rules), null, 2)}\n`);
      return exitCodes.ok;
    case 'check': {
      const file = rest[0] ?? parsed.string('config');
      if (file === undefined) throw new UsageError('give the policy file: osmo-admission policy check FILE');
      const text = file === '-' ? await io.readStdin() : await readText(file);
      const name = file === '-' ? 'standard input' : file;
      const namespace = parsed.string('namespace') ?? defaultNamespace;
      const compiled = createPolicyParser({ rules, ownNamespace: namespace })(text, name);
      io.stdout(`${name}: good, digest ${compiled.digest}\n`);
      printLacks(compiled, io);
      const kubeconfig = parsed.string('kubeconfig');
      if (kubeconfig === undefined) return exitCodes.ok;
      // Loaded here, so that the other commands start without a client's libraries.
      const { compareWithCluster } = await import('./compare.ts');
      return compareWithCluster({ policy: compiled, namespace, kubeconfig }, io);
    }
    default:
      throw new UsageError(`there is no "policy ${verb}": use check, defaults or schema`);
  }
}
