import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createSelfSigned } from '../../src/server/self-signed.ts';
import { type ControlPlane, kwokAnnotation } from '../cluster/control-plane.ts';
import { findImage } from '../cluster/image.ts';
import {
  namespace,
  probe,
  root,
  startCluster,
  untilCalled,
  untilFormerPodsEnded,
  webhookName,
} from '../cluster/installation.ts';
import { type NodeAgent, startNodeAgent } from '../cluster/node-agent/agent.ts';
import { createRelease, type Release } from '../cluster/release.ts';
import { eventually } from '../cluster/wait.ts';
import { blocksOf, commandsOf, type DocCommand, patternOf } from '../support/doc-commands.ts';
import { clusterNodes } from '../support/fixtures.ts';
import { kubeletOf, nodeLike } from './support/nodes.ts';
import { createReader, type Reader } from './support/reader.ts';

/*
 * docs/troubleshooting.md: each symptom is brought about, the page's commands are run as they stand, in the page's order, and the cluster is well again
 * afterwards. What the API server says is what the page says that it says.
 */

const page = 'docs/troubleshooting.md';
const first = 'First';

let plane: ControlPlane;
let agent: NodeAgent;
let release: Release;
let reader: Reader;
const run = new Map<DocCommand, string>();
const steps = commandsOf(page);

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  agent = await startNodeAgent(plane, { namespace, image: findImage(process.env) });
  release = createRelease(plane, inject('binaries').helm);
  reader = createReader(plane, inject('binaries'));
  reader.set('TMPDIR', plane.folder);
  await plane.apply(
    ['create', '-f', '-'],
    clusterNodes().map((node) => ({
      ...{ apiVersion: 'v1', kind: 'Node', ...node },
      metadata: { ...Object(node.metadata), annotations: kwokAnnotation },
    })),
  );
  // Pods end at once, since nobody waits for endpoints here.
  await release.install({ replicaCount: 1, shutdown: { delay: 0 }, reloadInterval: '1s' });
}, 180_000);

afterAll(async () => {
  await agent?.close();
  await plane?.close();
}, 60_000);

const headings = [...new Set(blocksOf(page).map(({ heading }) => heading))];

/** The heading that begins so. */
function headingOf(start: string): string {
  const found = headings.find((heading) => heading.startsWith(start));
  if (found === undefined) throw new Error(`${page} has no section ${start}`);
  return found;
}

/** Runs every command of a section that has not been run; all must end well. Resolves to what they printed. */
async function follow(start: string, which: (command: string) => boolean = () => true): Promise<string> {
  let printed = '';
  for (const step of steps.filter(({ heading }) => heading === headingOf(start))) {
    if (!which(step.command)) continue;
    const said = await reader.run(step);
    expect(`${step.command}\n→ ${said.code}\n${said.code === 0 ? '' : said.printed}`).toBe(`${step.command}\n→ 0\n`);
    run.set(step, said.printed);
    printed += said.printed;
  }
  return printed;
}

/** What a section says that is said: each of its `text` blocks that is no command's. */
const textsOf = (start: string): readonly string[] =>
  blocksOf(page)
    .filter(({ heading, language }) => heading === headingOf(start) && language === 'text')
    .map(({ body }) => body);

/** @throws an assertion where none of a section's texts is it. */
function expectText(start: string, said: string): void {
  const patterns = textsOf(start).map(patternOf);
  if (!patterns.some((pattern) => pattern.test(said))) expect(said).toBe(textsOf(start).join('or\n'));
}

const pasted = async (command: string): Promise<string> => (await reader.run({ page, heading: '', command })).printed;
/** A change of values, which must succeed. Pods that end answer by the values before, and take their log along: until they are gone. */
const change = async (flags: string): Promise<void> => {
  const { code, printed } = await reader.run({ page, heading: '', command: `webhook_upgrade ${flags}` });
  expect(`${code} ${code === 0 ? '' : printed}`).toBe('0 ');
  await untilFormerPodsEnded(plane);
};
/** What kubectl says to whoever creates a pod that our webhook places. */
const dryRun = (): Promise<string> => pasted('kubectl create --dry-run=server -f examples/gpu.yaml');
const isAdmitted = async (): Promise<boolean> => (await dryRun()) === 'pod/gpu created (server dry run)\n';
const isDenied = (): Promise<boolean> => probe(plane).then((said) => said.includes('denied the request'));
const logged = (text: string): Promise<void> =>
  eventually(`the log says ${text}`, async () => (await pasted('webhook_log')).includes(text));
const runningPod = async (): Promise<string> => {
  const ready = '{range .items[?(@.status.containerStatuses[0].ready==true)]}{.metadata.name}{"\\n"}{end}';
  const { stdout } = await plane.apply(['get', 'pods', '-n', namespace, '-o', `jsonpath=${ready}`]);
  return stdout.split('\n')[0] ?? '';
};
/** A node as its own kubelet registers it, kept Ready. */
const register = async (node: object): Promise<void> => {
  const { metadata, ...rest } = Object(node);
  const body = { apiVersion: 'v1', kind: 'Node', ...rest, metadata: { ...metadata, annotations: kwokAnnotation } };
  const { code, body: answer } = await plane.api.send('POST', '/api/v1/nodes', body, { as: kubeletOf(metadata.name) });
  expect(`${code} ${answer.message ?? ''}`).toBe('201 ');
};

describe(page, { timeout: 180_000 }, () => {
  it(first, async () => {
    await follow(first, (command) => command.startsWith('kubectl delete'));
    expect(await probe(plane)).not.toContain('denied the request');
    const [shorthands] = steps.filter(({ command }) => command.startsWith('webhook_log()'));
    if (shorthands === undefined) throw new Error('no shorthands');
    run.set(shorthands, '');
    reader.keep(shorthands);
    await change('');
    await untilCalled(plane);
    const printed = await follow(first, (command) => command.startsWith('kubectl get pods'));
    expect(printed).toContain('Running');
    expect(printed).not.toContain('gap:');
  });

  it('an authority that is not the one that issued', async () => {
    const symptom = 'x509';
    const now = Date.now();
    const [own, other] = [0, 1].map(() =>
      createSelfSigned({
        dnsNames: [`${webhookName}.${namespace}.svc`],
        ipAddresses: [],
        notBefore: new Date(now - 60_000),
        notAfter: new Date(now + 3_600_000),
      }),
    );
    const file = (name: string, text = ''): string => {
      writeFileSync(join(plane.folder, name), text);
      return join(plane.folder, name);
    };
    reader.set('CA_FILE', file('ca.pem', own?.caPem));
    const pair = [`--cert=${file('own.crt', own?.certPem)}`, `--key=${file('own.key', own?.keyPem)}`];
    await plane.apply(['create', 'secret', 'tls', 'own', '-n', namespace, ...pair]);
    const otherCa = file('other.pem', other?.caPem);
    await change(`--force-conflicts --set tls.mode=secret --set tls.secretName=own --set-file tls.caBundle=${otherCa}`);
    expectText(symptom, await dryRun());
    await logged('caBundle');
    const looked = await follow(symptom, (command) => !command.startsWith('webhook_upgrade'));
    for (const text of ['subject=', '"mode":"secret"', 'kubernetes.io/tls', 'holds none of the authorities'])
      expect(looked).toContain(text);
    await follow(symptom, (command) => command.includes('tls.caBundle'));
    await eventually('pods are admitted', isAdmitted);
    await follow(symptom, (command) => command.includes('tls.mode'));
    await eventually('pods are admitted', isAdmitted);
  });

  it('no server', async () => {
    const symptom = 'failed calling webhook';
    await plane.apply(['scale', 'deployment', webhookName, '-n', namespace, '--replicas=0']);
    await eventually('none runs', () => agent.pods().length === 0);
    await eventually('none is called', async () => !(await isAdmitted()));
    expectText(symptom, await dryRun());
    const looked = await follow(symptom);
    expect(looked).toContain('ScalingReplicaSet');
    expect(looked).toContain('kind: NetworkPolicy');
    await eventually('pods are admitted', isAdmitted);
  });

  it('a server that hangs', async () => {
    const pods = agent.pods();
    for (const pod of pods) agent.signal(pod, 'SIGSTOP');
    expectText('failed calling webhook', await dryRun());
    for (const pod of pods) agent.signal(pod, 'SIGCONT');
    await eventually('pods are admitted', isAdmitted);
  });

  it('a control plane that calls endpoints itself, and finds none', async () => {
    const other = await startCluster(inject('binaries'), [], { callsEndpoints: true });
    try {
      await other.apply(['apply', '-f', join(root, 'webhook-config')]);
      const says = async (): Promise<string> => `${await probe(other)}\n`;
      await eventually('the webhook is called', async () => (await says()).includes('failed calling webhook'));
      expectText('failed calling webhook', await says());
    } finally {
      await other.close();
    }
  });

  it('a node that is refused', async () => {
    const symptom = 'My node does not register';
    const log = await plane.startKubelet('kubelet-1', 'node-type=compute');
    await eventually('it is refused', () => readFileSync(log, 'utf8').includes('Unable to register node'));
    const line = readFileSync(log, 'utf8')
      .split('\n')
      .find((candidate) => candidate.includes('Unable to register node with API server" err="admission'));
    expectText(symptom, `${line}\n`);
    const looked = await follow(symptom);
    expect(looked).toContain('"reason":"container-runtime","rule":"node-conformance"');
    await eventually('it registers', async () => (await plane.kubectl(['get', 'node', 'kubelet-1'])).code === 0);
    await plane.stopKubelet('kubelet-1');
    await plane.apply(['delete', 'node', 'kubelet-1']);
  });

  it('nodes that are marked: no pods come to one, and where all are, they wait', async () => {
    const driver = '/metadata/labels/nvidia.com~1cuda.driver-version';
    await register(
      nodeLike('gpu-1', 'gpu-2', [
        { op: 'replace', path: `${driver}.full`, value: '535.104.05' },
        { op: 'replace', path: `${driver}.major`, value: '535' },
        { op: 'replace', path: `${driver}.minor`, value: '104' },
        { op: 'replace', path: `${driver}.revision`, value: '05' },
      ]),
    );
    await plane.apply(['cordon', 'gpu-1']);
    await pasted('kubectl create -f examples/gpu.yaml');
    const waiting = 'All workflow pods are Pending';
    const events = (): Promise<string> =>
      pasted(
        "kubectl get events -n osmo-workflows --field-selector reason=FailedScheduling -o jsonpath='{.items[0].message}'",
      );
    await eventually('the scheduler has said why', async () => (await events()).includes('nodes are available'));
    expectText(waiting, `${await events()}\n`);
    const looked = await follow('The node registered', (command) => !command.startsWith('webhook_upgrade'));
    for (const text of ['violated', 'NodeQuarantined', '535.216.03']) expect(looked).toContain(text);
    expect(await follow(waiting, (command) => !command.startsWith('webhook_upgrade'))).toMatch(/gpu +0\/1 +Pending/);
    await follow('The node registered', (command) => command.startsWith('webhook_upgrade'));
    const mark = 'osmo-admission/quarantined';
    const marks = (): Promise<string> => pasted(`kubectl get nodes -l ${mark} -o name`);
    await eventually('the mark goes', async () => (await marks()) === '');
    await eventually('the pod runs', async () => (await pasted('kubectl get pods -n osmo-workflows')).includes('1/1'));
    await follow(waiting, (command) => command.startsWith('webhook_upgrade'));
  });

  it('a pod that is denied', async () => {
    const symptom = 'Pods are denied';
    await eventually('it is denied', isDenied);
    const looked = await follow(symptom);
    expect(looked).toContain('(operator-node-guard/tolerates)');
    expect(looked).toContain('1 denied');
    await eventually('it is not denied', async () => !(await isDenied()));
    await change('--set policy.rules.operator-node-guard.enforcement=enforce');
    await eventually('it is denied', isDenied);
  });

  it('a pod that is not placed', async () => {
    const symptom = 'A pod has no toleration';
    await change('--set policy.rules.placement.enforcement=audit');
    const made = (): Promise<string> =>
      pasted('kubectl replace --force -f examples/gpu.yaml; kubectl get pod gpu -n osmo-workflows -o yaml');
    await eventually('nothing is injected', async () => !(await made()).includes('key: nvidia.com/gpu'));
    const looked = await follow(symptom);
    expect(looked).toContain('enforcement: audit');
    expect(looked).toContain('placement/');
    await eventually('it is injected', async () => (await made()).includes('key: nvidia.com/gpu'));
    // Later ones ask whether one of this name would be admitted.
    await plane.apply(['delete', 'pod', 'gpu', '-n', 'osmo-workflows']);
  });

  it('an exemption that has ended', async () => {
    const symptom = 'An exemption does not count';
    const user = { user: 'backup-operator', groups: ['system:masters', 'system:authenticated'] };
    const pod = { ...tolerant, metadata: { name: 'backup', namespace: 'osmo-workflows' } };
    const create = async (): Promise<number> =>
      (await plane.api.send('POST', '/api/v1/namespaces/osmo-workflows/pods?dryRun=All', pod, { as: user })).code;
    const ended = [{ reason: 'backups', users: ['backup-operator'], until: '2020-01-31' }];
    await change(`--set-json 'policy.exemptions=${JSON.stringify(ended)}'`);
    expect(await create()).toBe(403);
    const looked = await follow(symptom, (command) => !command.startsWith('cat'));
    expect(looked).toContain('exemptions[0] ended on 2020-01-31');
    expect(looked).toContain('"username":"backup-operator"');
    await follow(symptom, (command) => command.startsWith('cat'));
    await eventually('it counts', async () => (await create()) === 201);
  });

  it('a policy that is refused', async () => {
    const symptom = 'A policy change has no effect';
    const data = { 'policy.yaml': 'apiVersion: osmo-admission/v1alpha1\nkind: AdmissionPolicy\npresset: monitor\n' };
    const patch = JSON.stringify({ data });
    await plane.apply(['patch', 'configmap', `${webhookName}-policy`, '-n', namespace, '--type', 'merge', '-p', patch]);
    await logged('policy file refused');
    const looked = await follow(symptom, (command) => !command.startsWith('webhook_upgrade'));
    expect(looked).toContain('presset');
    expectText(symptom, `${looked.split('\n').find((line) => line.includes('refused'))}\n`);
    await follow(symptom, (command) => command.startsWith('webhook_upgrade'));
    await logged('policy file changed, policy unchanged');
  });

  it('pods that do not start, and an upgrade that waits for them', async () => {
    await plane.apply([
      'label',
      'namespace',
      namespace,
      'pod-security.kubernetes.io/enforce=restricted',
      '--overwrite',
    ]);
    const missing = '--set audit.signing.secretName=missing';
    expectText('helm upgrade hangs', await pasted(`webhook_upgrade ${missing} --timeout 10s`));
    expect(await follow('Webhook pods do not start')).toContain('ContainerCreating');
    await eventually('the old ones serve', isAdmitted);
    expect(await follow('helm upgrade hangs')).toContain('failed');
    await eventually('pods are admitted', isAdmitted);
    await pasted('webhook_upgrade --set hostNetwork=true --timeout 10s');
    const looked = await pasted(commandOf('Webhook pods do not start'));
    expect(looked).toContain('violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true)');
    await pasted(commandOf('helm upgrade hangs', 'helm rollback'));
    await eventually('pods are admitted', isAdmitted);
  });

  it('a field that two write', async () => {
    expect(await follow('GitOps')).toContain('osmo-admission-webhook-certificates');
  });

  it('a server that was killed', async () => {
    const symptom = 'The audit log';
    await eventually('one runs', async () => (await runningPod()) !== '');
    await agent.kill(await runningPod());
    await logged('"kind":"LogStart"');
    await eventually('it runs again', isAdmitted);
    await eventually('it has logged two starts', async () => {
      const starts = await pasted(`webhook_log | grep -c '"kind":"LogStart"'`);
      return Number(starts) > 1;
    });
    expect(await follow(symptom)).toMatch(/[2-9] "kind":"LogStart"/);
  });

  it('rights that were taken', async () => {
    const symptom = 'Metrics show';
    const role = `/apis/rbac.authorization.k8s.io/v1/clusterroles/${webhookName}`;
    const { body } = await plane.api.send('GET', role);
    const rules = body.rules.filter((rule: { resources: readonly string[] }) => !rule.resources.includes('nodes'));
    expect(rules.length).toBeLessThan(body.rules.length);
    await plane.apply(['replace', '-f', '-'], [{ ...body, rules }]);
    await plane.apply(['rollout', 'restart', 'deployment', webhookName, '-n', namespace]);
    await logged('nodes cannot be watched');
    const looked = await follow(symptom, (command) => !command.startsWith('webhook_upgrade'));
    expect(looked.endsWith('no\n')).toBe(true);
    expectText(symptom, `${looked.split('\n')[0]}\n`);
    await follow(symptom, (command) => command.startsWith('webhook_upgrade'));
    expect(await pasted(commandOf(symptom, 'webhook_log'))).toMatch(/yes\n$/);
  });

  it('a webhook that keeps workflows waiting', async () => {
    await plane.apply(['scale', 'deployment', webhookName, '-n', namespace, '--replicas=0']);
    const job = {
      ...{ apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'waits', namespace: 'osmo-workflows' } },
      spec: { template: { spec: { restartPolicy: 'Never', containers: tolerant.spec.containers } } },
    };
    await eventually('none runs', () => agent.pods().length === 0);
    await plane.apply(['create', '-f', '-'], [job]);
    const symptom = 'The cluster is deadlocked';
    await eventually('its controller is refused', async () =>
      (await pasted('kubectl get events -A')).includes('FailedCreate'),
    );
    const looked = await follow(symptom, (command) => command.startsWith('kubectl'));
    expect(looked).toContain('pods.mutate.osmo-admission');
    await pasted(commandOf(first, 'kubectl delete'));
    await eventually('the Job runs', async () =>
      (await pasted('kubectl get pods -n osmo-workflows')).includes('waits'),
    );
    await follow(symptom, (command) => command.startsWith('webhook_upgrade'));
    await untilCalled(plane);
  });

  it('an uninstall without its Job', async () => {
    await plane.apply(['label', 'node', 'gpu-1', 'osmo-admission/quarantined=violated', '--overwrite']);
    await release.helm('uninstall', webhookName, '--no-hooks', '--wait');
    await plane.apply(['label', 'node', 'gpu-1', 'osmo-admission/quarantined=violated', '--overwrite']);
    const looked = await follow('Uninstall left labels');
    expect(looked).toContain('violated');
    expect(looked).toContain('node/gpu-1: mark and annotation taken away');
    const { stdout } = await plane.apply(['get', 'nodes', '-o', 'yaml']);
    expect(stdout).not.toContain('osmo-admission/');
  });

  it('a namespace that was deleted', async () => {
    const symptom = 'The namespace was deleted';
    await release.install({ replicaCount: 1, shutdown: { delay: 0 } });
    await plane.apply(['delete', 'namespace', namespace]);
    await eventually('the Service is gone', async () => (await probe(plane)).includes('not found'));
    expectText(symptom, `${await probe(plane)}\n`);
    expect((await plane.kubectl(['run', 'other', '--image', 'x', '--dry-run=server'])).code).toBe(0);
    // Its own name and namespace: Helm takes over what is there.
    await release.install({ replicaCount: 1, shutdown: { delay: 0 } });
    await plane.apply(['delete', 'namespace', namespace]);
    expect(await follow(symptom)).toContain('validatingwebhookconfiguration.admissionregistration.k8s.io');
    expect(await probe(plane)).toBe('undefined');
    const kinds = 'validatingwebhookconfigurations,mutatingwebhookconfigurations,clusterroles,clusterrolebindings';
    const { stdout } = await plane.apply(['get', kinds, '-o', 'name']);
    expect(stdout).not.toContain(webhookName);
  });

  it('no command of the page was left out, and none was misspelt', () => {
    expect(steps.filter((step) => !run.has(step)).map(({ command }) => command)).toEqual([]);
    const wrong = /command not found|unknown (flag|command|shorthand)|syntax error|invalid option/;
    expect([...run.values()].filter((printed) => wrong.test(printed))).toEqual([]);
  });
});

const tolerant = {
  ...{ apiVersion: 'v1', kind: 'Pod' },
  spec: { containers: [{ name: 'task', image: 'ubuntu:22.04' }], tolerations: [{ operator: 'Exists' }] },
};

/** The one command of a section that begins so. */
function commandOf(start: string, begins = ''): string {
  const found = steps.filter(({ heading, command }) => heading === headingOf(start) && command.startsWith(begins));
  if (found.length !== 1) throw new Error(`${found.length} commands under ${start} begin with ${begins}`);
  return found[0]?.command ?? '';
}
