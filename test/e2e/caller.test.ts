import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { buildReview } from '../../scripts/review-client.ts';
import type { ControlPlane, Said } from '../cluster/control-plane.ts';
import { type Installation, install, root, startCluster, webhookName } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import { call, clientCertificate, type Reply } from '../server/support.ts';
import { osmoPod } from '../support/fixtures.ts';
import { metricOf } from '../support/metrics.ts';
import { nodeOf } from './support/nodes.ts';
import { kubeletPolicy } from './support/policy.ts';

/* Who sent a review: the API server by the client certificate that docs/operations.md gives it, by its very text, and anybody else. */

/** The code blocks of the section "Who may call". */
const blocks = (() => {
  const text = readFileSync(join(root, 'docs', 'operations.md'), 'utf8');
  const section = text.split('\n## ').find((part) => part.startsWith('Who may call\n')) ?? '';
  return [...section.matchAll(/^```(sh|yaml)\n(.*?)^```$/gms)].map(([, language, block = '']) => ({ language, block }));
})();
const yamlOf = (kind: string): string => blocks.find(({ block }) => parse(block)?.kind === kind)?.block ?? '';
const commands = blocks.find(({ language }) => language === 'sh')?.block ?? '';

const folder = mkdtempSync(join(tmpdir(), 'caller-'));
const file = (name: string): string => join(folder, name);
const required = ['--client-certificate-required'];

let plane: ControlPlane;
let webhook: Installation;

beforeAll(async () => {
  execFileSync('sh', ['-ec', commands], { cwd: folder, stdio: 'pipe' });
  writeFileSync(
    file('admission.yaml'),
    yamlOf('AdmissionConfiguration').replaceAll('/etc/kubernetes/osmo-admission', folder),
  );
  writeFileSync(file('webhooks.yaml'), yamlOf('Config'));
  plane = await startCluster(inject('binaries'), [], { admissionConfig: file('admission.yaml') });
  webhook = await install(plane, {
    policy: kubeletPolicy(),
    serverArgs: ['--client-ca-file', file('webhook-client-ca.crt'), '--client-allowed-names', 'kube-apiserver'],
  });
}, 120_000);

afterAll(async () => {
  await plane?.close();
  rmSync(folder, { recursive: true });
}, 60_000);

const podOf = (name: string): object => ({
  ...osmoPod('chart-default-cpu'),
  metadata: { name, namespace: 'osmo-workflows' },
});
const create = (name: string): Promise<Said> => plane.kubectl(['create', '-f', '-'], { stdin: stringify(podOf(name)) });
/** Phase and verdict of a pod's records, without those of its binding, once there are as many. */
async function recordsOf(name: string, count: number): Promise<readonly (readonly [string, boolean])[]> {
  const found = () =>
    webhook.records().filter(({ objectRef }) => objectRef.name === name && objectRef.subresource === '');
  await eventually(`${count} records of ${name}`, () => found().length >= count);
  return found().map(({ phase, callerVerified }) => [phase, callerVerified] as const);
}
const unverified = async (reason: string): Promise<number> =>
  metricOf(await webhook.metrics(), 'osmo_admission_unverified_reviews_total', { reason });

/** What a pod sends that reaches the port, with the CA of the serving certificate as every webhook configuration shows it. */
async function sendFromPod(name: string, client?: { certPem: string; keyPem: string }): Promise<Reply> {
  const path = '{.webhooks[0].clientConfig.caBundle}';
  const { stdout } = await plane.apply([
    'get',
    'validatingwebhookconfiguration',
    webhookName,
    '-o',
    `jsonpath=${path}`,
  ]);
  return call({
    host: new URL(webhook.health()).hostname,
    port: 443,
    ca: Buffer.from(stdout, 'base64').toString(),
    body: JSON.stringify(buildReview(podOf(name), 'system:admin')),
    ...(client !== undefined && { client }),
  });
}

describe('the API server, by docs/operations.md', () => {
  it('is verified in every record, from the first', async () => {
    const { code, stderr } = await create('by-api');
    expect([code, stderr]).toEqual([0, '']);
    expect(await recordsOf('by-api', 2)).toEqual([
      ['mutate', true],
      ['validate', true],
    ]);
    expect(webhook.records().filter(({ callerVerified }) => !callerVerified)).toEqual([]);
    expect(await unverified('none')).toBe(0);
    expect(webhook.log().filter(({ message }) => message === 'a caller is not verified')).toEqual([]);
  });

  it('takes the NetworkPolicy', async () => {
    const { code, stderr } = await plane.kubectl(['apply', '--dry-run=server', '-f', '-'], {
      stdin: yamlOf('NetworkPolicy'),
    });
    expect([code, stderr]).toEqual([0, '']);
  });
});

describe('a pod that reaches the port', () => {
  it('is answered, and recorded as nobody that is known, without a certificate and with one of its own making', async () => {
    expect((await sendFromPod('by-pod')).status).toBe(200);
    expect((await sendFromPod('by-forger', clientCertificate('kube-apiserver'))).status).toBe(200);
    expect(await recordsOf('by-pod', 1)).toEqual([['validate', false]]);
    expect(await recordsOf('by-forger', 1)).toEqual([['validate', false]]);
    expect([await unverified('none'), await unverified('authority')]).toEqual([1, 1]);
  });

  it('is refused where a certificate is required, and makes no record, while the API server goes on', async () => {
    await webhook.stopServer();
    await webhook.startServer(required);
    const none = await sendFromPod('refused');
    expect([none.status, JSON.parse(none.body).message]).toEqual([
      401,
      expect.stringContaining('takes reviews only with a client certificate'),
    ]);
    const forged = await sendFromPod('refused', clientCertificate('kube-apiserver'));
    expect([forged.status, JSON.parse(forged.body).message]).toEqual([
      403,
      expect.stringContaining('--client-ca-file'),
    ]);
    expect((await create('by-api-required')).code).toBe(0);
    expect((await recordsOf('by-api-required', 2)).every(([, verified]) => verified)).toBe(true);
    expect(webhook.records().filter(({ objectRef }) => objectRef.name === 'refused')).toEqual([]);
    expect(metricOf(await webhook.metrics(), 'osmo_admission_client_errors_total', { kind: 'unverified' })).toBe(2);
  });
});

describe('an API server without the certificate', () => {
  beforeAll(async () => {
    writeFileSync(file('webhooks.yaml'), stringify({ apiVersion: 'v1', kind: 'Config', users: [] }));
    await plane.stopComponent('kube-apiserver');
    await plane.startComponent('kube-apiserver');
  });

  it('gets by failurePolicy what it asks where one is required: no workflow pod, and every node', async () => {
    const { code, stderr } = await create('unjudged');
    expect(code).toBe(1);
    expect(stderr).toContain('failed calling webhook "pods.mutate.osmo-admission"');
    expect(stderr).toContain('takes reviews only with a client certificate');
    const answer = await plane.api.send('POST', '/api/v1/nodes', nodeOf('unjudged', 'compute', 'v1.0.0'));
    expect(answer.code).toBe(201);
    expect(JSON.stringify(await plane.auditAnnotations(answer.auditId))).toContain(
      'failed-open.validating.webhook.admission.k8s.io',
    );
    expect(webhook.records().filter(({ objectRef }) => objectRef.name === 'unjudged')).toEqual([]);
  });

  it('is served where none is, and recorded as nobody that is known', async () => {
    await webhook.stopServer();
    await webhook.startServer();
    expect((await create('by-stranger')).code).toBe(0);
    expect(await recordsOf('by-stranger', 2)).toEqual([
      ['mutate', false],
      ['validate', false],
    ]);
    const [line] = webhook
      .log()
      .filter(({ message }) => message === 'a caller is not verified')
      .slice(-1);
    expect(line?.reason).toBe('none');
  });
});
