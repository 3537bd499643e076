import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createPolicyParser } from '../config/parse.ts';
import { printDefaults } from '../config/print-defaults.ts';
import { buildManifests } from '../manifests/build.ts';
import { defaultNamespace } from '../manifests/objects.ts';
import { isDns1123Label } from '../policy/kube/names.ts';
import { rules } from '../policy/rules/index.ts';
import { describeFlags, type Flags, helpFlag, parseFlags } from './flags.ts';
import { type CliIo, exitCodes, UsageError } from './io.ts';
import { printLacks } from './lacks.ts';
import { readText } from './review.ts';

/** What `manifests` and the generated webhook-config/ assume where nothing else is said. */
export const defaultInstallation = { namespace: defaultNamespace, image: 'osmo-admission-webhook:0.1.0', replicas: 2 };

const flags: Flags = {
  config: {
    type: 'string',
    value: 'FILE',
    help: 'The policy file; it is mounted as it is.',
    default: 'the built-in defaults',
    env: 'OSMO_ADMISSION_CONFIG',
  },
  namespace: {
    type: 'string',
    short: 'n',
    value: 'NAMESPACE',
    help: 'Where the webhook is installed.',
    default: defaultInstallation.namespace,
  },
  image: { type: 'string', value: 'IMAGE', help: 'The image to run.', default: defaultInstallation.image },
  replicas: {
    type: 'string',
    value: 'NUMBER',
    help: 'How many replicas run.',
    default: String(defaultInstallation.replicas),
  },
  'output-dir': {
    type: 'string',
    value: 'DIR',
    help: 'Write one file per step there instead of everything to standard output.',
  },
  help: helpFlag,
};

export const manifestsHelp = `Prints what an installation consists of: workload, RBAC, cert-manager certificates, webhook configurations.

Usage:
  osmo-admission manifests [--config FILE] [-n NAMESPACE] [--image IMAGE] | kubectl apply -f -

Which requests reach the webhook follows from the policy: a policy with other workflow namespaces or labels needs its webhook
configurations applied again. What the policy leaves open is said on standard error.

Flags:
${describeFlags(flags)}

Exit codes:
  0  printed
  2  a bad policy file, or called wrongly
`;

/** `osmo-admission manifests`. */
export async function manifests(args: readonly string[], io: CliIo): Promise<number> {
  const parsed = parseFlags(args, flags, io.env);
  if (parsed.boolean('help')) {
    io.stdout(manifestsHelp);
    return exitCodes.ok;
  }
  const namespace = parsed.string('namespace') ?? defaultInstallation.namespace;
  if (!isDns1123Label(namespace))
    throw new UsageError(`--namespace is ${JSON.stringify(namespace)}, which no namespace can be called`);
  const replicas = Number(parsed.string('replicas') ?? defaultInstallation.replicas);
  if (!Number.isInteger(replicas) || replicas < 1) throw new UsageError('--replicas must be a whole number from 1');
  const file = parsed.string('config');
  const policyText = file === undefined ? printDefaults(rules) : await readText(file);
  const policy = createPolicyParser({ rules, ownNamespace: namespace })(policyText, file ?? 'the built-in defaults');
  if (policy.workflowNamespaces.has(namespace)) {
    throw new UsageError(
      `${namespace} is a workflow namespace of the policy: the webhook would gate its own pods; install it elsewhere`,
    );
  }
  const image = parsed.string('image') ?? defaultInstallation.image;
  const files = buildManifests({ rules, policy, policyText, installation: { namespace, image, replicas } });
  printLacks(policy, io);
  const directory = parsed.string('output-dir');
  if (directory === undefined) {
    io.stdout([...files.values()].join('---\n'));
    return exitCodes.ok;
  }
  await mkdir(directory, { recursive: true });
  for (const [name, text] of files) await writeFile(join(directory, name), text);
  io.stdout(`${[...files.keys()].map((name) => join(directory, name)).join('\n')}\n`);
  return exitCodes.ok;
}
