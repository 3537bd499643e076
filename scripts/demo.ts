/*
 * The main job, shown: starts the real server with a certificate of its own, the default policy and live nodes from a file, sends
 * it real OSMO pods and nodes as the API server would, prints what kubectl would print, and writes a report of its own decisions.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { renderPatch } from '../src/cli/render.ts';
import { createSelfSigned } from '../src/server/self-signed.ts';
import { fixtureNode, type KubeObject, osmoPod, osmoPods } from '../test/support/fixtures.ts';
import { apply, type Operation } from '../test/support/json-patch.ts';
import { createReviewClient, type ReviewClient, type ReviewResponse } from './review-client.ts';
import { serverName, startProcess } from './server-process.ts';

const root = join(import.meta.dirname, '..');
const nodesFile = join(root, 'test', 'fixtures', 'nodes', 'cluster.yaml');

interface Scene {
  readonly title: string;
  readonly object: KubeObject;
}

const named = (object: KubeObject, name: string): KubeObject =>
  tweak(object, [{ op: 'replace', path: '/metadata/name', value: name }]);
const gpuPod = named(osmoPods('gang-2-task-gpu8')[0] ?? {}, 'train-8-gpus');
const cpuPod = named(osmoPod('chart-default-cpu'), 'preprocess-cpu');

/** Each scene is a real rendered OSMO pod or a node of the fixture cluster, with one thing changed. */
const scenes: readonly Scene[] = [
  { title: 'A CPU task, as OSMO’s default pool renders it: no nodeSelector, no tolerations', object: cpuPod },
  { title: 'A task that asks for 8 GPUs', object: gpuPod },
  {
    title: 'A Jetson task: no GPU request, only its platform tells',
    object: named(osmoPod('onprem-jetson-no-gpu-request'), 'infer-jetson'),
  },
  {
    title: 'The same GPU task with a toleration for everything',
    object: tweak(gpuPod, [{ op: 'add', path: '/spec/tolerations/-', value: { operator: 'Exists' } }]),
  },
  {
    title: 'A CPU task that is sent to an operator node by name and by label',
    object: tweak(cpuPod, [
      { op: 'add', path: '/spec/nodeSelector', value: { 'node-type': 'operator' } },
      { op: 'add', path: '/spec/nodeName', value: 'operator-1' },
    ]),
  },
  {
    title: 'A GPU task that selects compute nodes: placement has nothing to inject that could help',
    object: tweak(gpuPod, [{ op: 'add', path: '/spec/nodeSelector/node-type', value: 'compute' }]),
  },
  { title: 'A new GPU node that meets the guide', object: newNode('gpu-1', 'gpu-2', []) },
  {
    title: 'A new GPU node with an old container runtime and an old kubelet',
    object: newNode('gpu-1', 'gpu-3', [
      { op: 'replace', path: '/status/nodeInfo/containerRuntimeVersion', value: 'containerd://1.6.33' },
      { op: 'replace', path: '/status/nodeInfo/kubeletVersion', value: 'v1.29.6' },
    ]),
  },
  {
    title: 'A new GPU node whose driver is too old',
    object: newNode('gpu-1', 'gpu-4', [
      { op: 'replace', path: '/metadata/labels/nvidia.com~1cuda.driver-version.full', value: '535.104.05' },
    ]),
  },
  {
    title: 'A kubelet restarts on a node that exists: warned, never refused',
    object: newNode('compute-1', 'compute-1', [
      { op: 'replace', path: '/status/nodeInfo/kubeletVersion', value: 'v1.29.6' },
    ]),
  },
];

function tweak(object: KubeObject, operations: readonly Operation[]): KubeObject {
  return { ...Object(apply(object, operations)) };
}

function newNode(like: string, name: string, operations: readonly Operation[]): KubeObject {
  return tweak(fixtureNode(like), [
    { op: 'replace', path: '/metadata/name', value: name },
    { op: 'replace', path: '/metadata/labels/kubernetes.io~1hostname', value: name },
    ...operations,
  ]);
}

const bold = (text: string): string => (process.stdout.isTTY ? `\u001b[1m${text}\u001b[0m` : text);
const indent = (text: string): string => text.replaceAll(/^/gm, '    ');
const say = (text = ''): void => {
  process.stdout.write(`${text}\n`);
};

const directory = mkdtempSync(join(tmpdir(), 'osmo-admission-demo-'));
const auditFile = join(directory, 'audit.log');
const server = await startServer();
try {
  for (const [index, scene] of scenes.entries()) await play(scene, index + 1, server.client);
  await server.stop();
  showAudit();
  sayNext();
  writeReport();
} finally {
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
}

interface DemoServer {
  readonly client: ReviewClient;
  stop(): Promise<void>;
}

/** Starts the server as a cluster would run it, on loopback. */
async function startServer(): Promise<DemoServer> {
  const { certPem, keyPem, caPem } = createSelfSigned({
    dnsNames: [serverName],
    ipAddresses: ['127.0.0.1'],
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 24 * 60 * 60_000),
  });
  const file = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const args = [
    'serve',
    '--host',
    '127.0.0.1',
    '--port',
    '0',
    '--health-port',
    '0',
    '--nodes',
    nodesFile,
    '--audit-log',
    auditFile,
  ];
  args.push(
    '--tls-cert-file',
    file('tls.crt', certPem),
    '--tls-private-key-file',
    file('tls.key', keyPem),
    '--shutdown-delay',
    '0s',
  );
  const running = await startProcess(join(root, 'bin', 'osmo-admission'), args);
  const { port } = running;
  say(bold('osmo-admission: the demo'));
  say(
    `The webhook server runs on 127.0.0.1:${port} (TLS, a certificate of its own), with the default policy and the six nodes of`,
  );
  say(`${relative(root, nodesFile)}. Each request below went to it over HTTPS, as the API server would send it.`);
  const client = createReviewClient({ port, ca: caPem, serverName: serverName });
  let stopping: Promise<void> | undefined;
  return {
    client,
    stop() {
      client.close();
      stopping ??= running.stop();
      return stopping;
    },
  };
}

async function play({ title, object }: Scene, number: number, client: ReviewClient): Promise<void> {
  say(`\n${bold(`${number}. ${title}`)}`);
  const mutation = await client.review('mutate', object);
  const patch: Operation[] =
    mutation.patch === undefined ? [] : JSON.parse(Buffer.from(mutation.patch, 'base64').toString('utf8'));
  const validation = await client.review('validate', apply(object, patch));
  const { kind, metadata } = object;
  const name = `${String(kind).toLowerCase()}/${Reflect.get(Object(metadata), 'name')}`;
  for (const warning of [...(mutation.warnings ?? []), ...(validation.warnings ?? [])])
    say(indent(`Warning: ${warning}`));
  if (validation.allowed) {
    say(indent(`${name} created`));
    if (patch.length > 0)
      say(
        indent(
          `what placement patched:\n${indent(renderPatch(patch.map(({ path, value }) => ({ op: 'add', path, value }))).join('\n'))}`,
        ),
      );
  } else {
    say(indent(denialText(String(kind), validation)));
  }
}

/** A denial as kubectl prints it. */
function denialText(kind: string, { status }: ReviewResponse): string {
  const webhook = `${kind.toLowerCase()}s.validate.osmo-admission`;
  return `Error from server (${status?.reason}): admission webhook "${webhook}" denied the request: ${status?.message}`;
}

function showAudit(): void {
  say(`\n${bold('The audit log: one record for each decision')}`);
  say('  time          phase     verb    object                                        decision  rules / findings');
  const lines = readFileSync(auditFile, 'utf8').trimEnd().split('\n');
  for (const line of lines.filter((text) => JSON.parse(text).kind === 'AdmissionRecord')) {
    const { time, phase, verb, objectRef, decision, findings, patch } = JSON.parse(line);
    const what = `${objectRef.resource}/${objectRef.name}`.slice(0, 44);
    const found = findings
      .map((finding: Record<string, string>) => `${finding.rule}/${finding.reason} ${finding.enforcement}`)
      .join(', ');
    const patched = patch.length > 0 ? `patched ${patch.length} path${patch.length === 1 ? '' : 's'}` : '';
    say(
      `  ${time.slice(11, 23)}  ${phase.padEnd(8)}  ${verb}  ${what.padEnd(44)}  ${decision.padEnd(8)}  ${[found, patched].filter(Boolean).join('; ')}`,
    );
  }
  const denied = lines.find((line) => line.includes('"decision":"deny"')) ?? '{}';
  say('\n  The first denial in full:');
  say(indent(JSON.stringify(JSON.parse(denied), null, 2)));
}

/** The page that a reviewer would get of these decisions. */
function writeReport(): void {
  const report = join(root, 'demo-report.html');
  const args = ['log', 'report', auditFile, '--nodes', nodesFile, '--output-file', report];
  execFileSync(join(root, 'bin', 'osmo-admission'), args, { stdio: 'pipe' });
  say(`\n${bold('The report of these decisions, for a browser')}\n  ${report}`);
}

function sayNext(): void {
  say(`\n${bold('What to try next')}
  npx --no-install osmo-admission review -f test/fixtures/osmo-pods/onprem-gpu-l40s.yaml --nodes ${relative(root, nodesFile)}
      says what the server would say about your own manifests, without a cluster
  npx --no-install osmo-admission policy defaults
      prints the policy that was in force, every key explained
  npm test
      runs all tests; README.md and docs/ tell the rest`);
}
