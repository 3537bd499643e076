import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { createAdmit } from '../admission/admit.ts';
import { createFixedNodes, loadNodesFile } from '../cluster/nodes-file.ts';
import { compileDefaults, createPolicyParser } from '../config/parse.ts';
import { fixedClaims } from '../policy/model/claims.ts';
import { unsignedNotes } from '../policy/model/notes.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import { offlineNodes, offlinePods } from '../policy/model/snapshot.ts';
import { rules } from '../policy/rules/index.ts';
import { isNonConforming, type StandingCluster } from '../policy/standing.ts';
import { clusterReviewObject, renderClusterReview, reviewCluster } from './cluster-review.ts';
import { describeFlags, type Flags, helpFlag, parseFlags } from './flags.ts';
import { readInputClaims } from './input-claims.ts';
import { type CliIo, describeFileError, exitCodes, UsageError } from './io.ts';
import { type Failed, type Judgement, judge } from './judge.ts';
import { type ManifestObject, parseManifests } from './manifests.ts';
import { type OutputFormat, outputFormats, renderJudgements } from './render.ts';

const flags: Flags = {
  filename: {
    type: 'string',
    short: 'f',
    multiple: true,
    value: 'FILE',
    help: 'A manifest, a directory of manifests (.yaml, .yml, .json), or - for standard input. May be given several times.',
  },
  nodes: {
    type: 'string',
    value: 'FILE',
    help: 'Live nodes, as of "kubectl get nodes -o yaml"; taken as complete. Without it nothing is judged that needs live nodes.',
  },
  kubeconfig: {
    type: 'string',
    value: 'FILE',
    help: 'Take live nodes from this cluster instead, read once.',
  },
  config: {
    type: 'string',
    value: 'FILE',
    help: 'The policy file.',
    default: 'the built-in defaults',
    env: 'OSMO_ADMISSION_CONFIG',
  },
  namespace: {
    type: 'string',
    short: 'n',
    value: 'NAMESPACE',
    help: 'Namespace of objects that name none.',
    default: 'default',
  },
  as: { type: 'string', value: 'USER', help: 'Judge as if this user made the request; exemptions may depend on it.' },
  'as-group': {
    type: 'string',
    multiple: true,
    value: 'GROUP',
    help: 'Groups of that user. May be given several times.',
  },
  output: { type: 'string', short: 'o', value: 'FORMAT', help: 'text, json or yaml.', default: 'text' },
  help: helpFlag,
};

export const reviewHelp = `Judges manifests as the server would judge their creation, without a cluster; or a cluster as it stands.

Usage:
  osmo-admission review -f FILE|- [--nodes FILE | --kubeconfig FILE] [--config FILE] [-n NAMESPACE] [-o text|json|yaml]
  osmo-admission review --nodes FILE | --kubeconfig FILE [--config FILE] [-o text|json|yaml]

Without -f every node that exists is held against the guide: each requirement that it does not meet or does not show, and a matrix of
all. With --kubeconfig also the workflow pods that run or wait and leave operator nodes open.

Takes multi-document YAML, JSON, Lists, and whole AdmissionReviews. Kinds that no rule covers are listed as not judged. A resource claim
that a pod refers to is known if it is in the input, whatever its file; a cluster is not asked for it.

Flags:
${describeFlags(flags)}

Exit codes:
  0  everything that was judged is admitted; every node conforms
  1  something is denied; a node violates what the policy refuses or quarantines a new node for
  2  something could not be judged: an unreadable file, a bad policy file, a field of a wrong type

Examples:
  osmo-admission review --kubeconfig ~/.kube/config
  osmo-admission review -f workflow.yaml
  kubectl get pod train -n osmo-workflows -o yaml | osmo-admission review -f - --nodes nodes.yaml
`;

/** `osmo-admission review`. */
export async function review(args: readonly string[], io: CliIo): Promise<number> {
  const parsed = parseFlags(args, flags, io.env);
  if (parsed.boolean('help')) {
    io.stdout(reviewHelp);
    return exitCodes.ok;
  }
  const files = [...parsed.strings('filename'), ...parsed.positionals];
  const nodesFile = parsed.string('nodes');
  const kubeconfig = parsed.string('kubeconfig');
  if (nodesFile !== undefined && kubeconfig !== undefined) {
    throw new UsageError('give --nodes or --kubeconfig, not both: live nodes come from one source');
  }
  if (files.length === 0 && nodesFile === undefined && kubeconfig === undefined) {
    throw new UsageError(
      'give a manifest: -f FILE, or -f - for standard input; or a cluster: --kubeconfig FILE, or --nodes FILE',
    );
  }
  const format = readFormat(parsed.string('output') ?? 'text');
  const policy = await loadPolicy(parsed.string('config'));
  const cluster = await loadCluster(nodesFile, kubeconfig, policy);
  if (files.length === 0 && cluster !== undefined) return printCluster(cluster, policy, format, io);
  const nodes =
    cluster === undefined ? offlineNodes : createFixedNodes(new Map(cluster.nodes.map((node) => [node.name, node])));
  const namespace = parsed.string('namespace') ?? 'default';
  const inputs = await readAll(files, io);
  const { claims, failed } = readInputClaims(
    inputs.flatMap((input) => ('outcome' in input ? [] : [input])),
    namespace,
  );
  const classesOf = fixedClaims(claims, 'it is not in the input');
  const options = {
    admit: createAdmit({
      rules,
      policy: () => policy,
      nodes,
      pods: offlinePods,
      notes: unsignedNotes,
      classesOf,
      now: io.now,
      monotonic: io.now,
    }),
    policy,
    nodes,
    namespace,
    requester: { username: parsed.string('as') ?? '', groups: parsed.strings('as-group') },
  };
  const judgements: Judgement[] = [];
  for (const input of inputs) {
    judgements.push('outcome' in input ? input : (failed.get(input) ?? (await judge(input, options))));
  }
  io.stdout(renderJudgements(judgements, format));
  return exitCodeOf(judgements);
}

/** The cluster that was given; undefined for none. */
export async function loadCluster(
  nodesFile: string | undefined,
  kubeconfig: string | undefined,
  policy: CompiledPolicy,
): Promise<StandingCluster | undefined> {
  if (nodesFile !== undefined) {
    const { nodes } = (await loadNodesFile(nodesFile)).snapshot();
    return { nodes: [...nodes.values()], pods: undefined, unread: [] };
  }
  if (kubeconfig === undefined) return undefined;
  // Loaded here, so that a review without a cluster starts without a client's libraries.
  const { loadStandingCluster } = await import('./load-cluster.ts');
  return loadStandingCluster(kubeconfig, policy);
}

function printCluster(cluster: StandingCluster, policy: CompiledPolicy, format: OutputFormat, io: CliIo): number {
  const found = reviewCluster(cluster, policy, io.now());
  if (format === 'text') io.stdout(renderClusterReview(found));
  else if (format === 'json') io.stdout(`${JSON.stringify(clusterReviewObject(found), null, 2)}\n`);
  else io.stdout(stringify(clusterReviewObject(found), { lineWidth: 0 }));
  if (found.unread.length > 0) return exitCodes.failed;
  return found.nodes.some(isNonConforming) ? exitCodes.denied : exitCodes.ok;
}

/** What could not be judged outweighs a denial: the answer is not complete. */
function exitCodeOf(judgements: readonly Judgement[]): number {
  if (judgements.some(({ outcome }) => outcome === 'failed')) return exitCodes.failed;
  return judgements.some(({ outcome }) => outcome === 'denied') ? exitCodes.denied : exitCodes.ok;
}

function readFormat(text: string): OutputFormat {
  const format = outputFormats.find((known) => known === text);
  if (format === undefined)
    throw new UsageError(`there is no output format ${JSON.stringify(text)}: use ${outputFormats.join(', ')}`);
  return format;
}

/** The policy of a file, or the defaults. Errors of the file carry its name and lines. */
export async function loadPolicy(file: string | undefined): Promise<CompiledPolicy> {
  if (file === undefined) return compileDefaults({ rules });
  return createPolicyParser({ rules })(await readText(file), file);
}

/** Reads a file that the command cannot do without. */
export async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new UsageError(describeFileError(file, error));
  }
}

/** Every object of the input, and what could not be read of it, in its order. */
async function readAll(files: readonly string[], io: CliIo): Promise<readonly (ManifestObject | Failed)[]> {
  const inputs: (ManifestObject | Failed)[] = [];
  for (const file of files) {
    for (const { name, text, error } of await readInputs(file, io)) {
      if (error !== undefined) {
        inputs.push({ outcome: 'failed', source: name, message: error });
        continue;
      }
      const { objects, problems } = parseManifests(text, name);
      for (const { source, message } of problems) inputs.push({ outcome: 'failed', source, message });
      for (const object of objects) inputs.push(object);
    }
  }
  return inputs;
}

interface Input {
  readonly name: string;
  readonly text: string;
  readonly error?: string;
}

async function readInputs(file: string, io: CliIo): Promise<readonly Input[]> {
  if (file === '-') return [{ name: 'standard input', text: await io.readStdin() }];
  try {
    if (!(await stat(file)).isDirectory()) return [{ name: file, text: await readFile(file, 'utf8') }];
    const names = (await readdir(file)).filter((name) => /\.(ya?ml|json)$/.test(name)).sort();
    if (names.length === 0) return [{ name: file, text: '', error: `${file}: holds no .yaml, .yml or .json file` }];
    return (await Promise.all(names.map((name) => readInputs(join(file, name), io)))).flat();
  } catch (error) {
    return [{ name: file, text: '', error: describeFileError(file, error) }];
  }
}
