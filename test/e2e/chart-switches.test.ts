import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { stringify } from 'yaml';
import { buildReview } from '../../scripts/review-client.ts';
import { at, one, rendered } from '../chart/support.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { findImage } from '../cluster/image.ts';
import { startCluster, webhookName } from '../cluster/installation.ts';
import { type NodeAgent, startNodeAgent } from '../cluster/node-agent/agent.ts';
import { claimFolder } from '../cluster/node-agent/volumes.ts';
import { jsonLines } from '../cluster/processes.ts';
import { createRelease, type Release } from '../cluster/release.ts';
import { eventually } from '../cluster/wait.ts';
import { call, clientCertificate } from '../server/support.ts';
import { kubeletOf, nodeOf } from './support/nodes.ts';
import { addNode, podOf } from './support/ways.ts';

/*
 * The chart's other switches, all at once: in a namespace of another name, which is under Pod Security "restricted", as users and groups that
 * OpenShift gives, with an audit file on a volume, and for callers that show a client certificate.
 */

const where = 'my-ns';
const host = `${webhookName}.${where}.svc`;
/** As OpenShift gives them: a user and a group of the namespace's own range, and root's group, which has no rights of root's. */
const [user, volumeGroup] = [1_000_660_000, 1_000_660_001];
const pods = [0, 1].map((index) => `${webhookName}-${index}`);
const folder = mkdtempSync(join(tmpdir(), 'switches-'));
const client = clientCertificate('kube-apiserver');

const values = {
  reloadInterval: '1s',
  shutdown: { delay: 0 },
  podSecurityContext: { runAsUser: user, fsGroup: volumeGroup },
  audit: { stdout: false, file: { enabled: true, size: '1Gi' }, clusterName: 'lab' },
  clientVerification: { caBundle: client.caPem, allowedNames: ['kube-apiserver'], required: true },
};

let plane: ControlPlane;
let agent: NodeAgent;
let release: Release;

/** What the API server shows whom, as docs/operations.md has it, under the name of this installation's Service. */
function writeAdmissionConfig(): string {
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const shown = {
    'client-certificate': file('client.crt', client.certPem),
    'client-key': file('client.key', client.keyPem),
  };
  const kubeConfigFile = file(
    'webhooks.yaml',
    stringify({ apiVersion: 'v1', kind: 'Config', users: [{ name: host, user: shown }] }),
  );
  const apiVersion = 'apiserver.config.k8s.io/v1';
  const configuration = { apiVersion, kind: 'WebhookAdmissionConfiguration', kubeConfigFile };
  const plugins = ['MutatingAdmissionWebhook', 'ValidatingAdmissionWebhook'].map((name) => ({ name, configuration }));
  return file('admission.yaml', stringify({ apiVersion, kind: 'AdmissionConfiguration', plugins }));
}

beforeAll(async () => {
  plane = await startCluster(inject('binaries'), [], { admissionConfig: writeAdmissionConfig() });
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  await plane.apply(['apply', '-f', '-'], [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: where, labels } }]);
  await addNode(plane, 'compute-a', 'compute');
  agent = await startNodeAgent(plane, { namespace: where, image: findImage(process.env) });
  release = createRelease(plane, inject('binaries').helm, webhookName, where);
  await release.install(values);
}, 180_000);

afterAll(async () => {
  await agent?.close();
  await plane?.close();
  rmSync(folder, { recursive: true });
}, 60_000);

const statusOf = (pod: string): string => readFileSync(`/proc/${agent.pid(pod)}/status`, 'utf8');
const metricsOf = async (pod: string): Promise<string> =>
  (await fetch(`http://${agent.address(pod)}:8080/metrics`)).text();

describe('the server’s process', () => {
  it('is of the user and the groups that its pod names, and can become nobody else', () => {
    for (const pod of pods) {
      const status = statusOf(pod);
      expect(status).toMatch(new RegExp(`^Uid:(\\t${user}){4}$`, 'm'));
      expect(status).toMatch(/^Gid:(\t0){4}$/m);
      expect(status).toMatch(new RegExp(`^Groups:\\t.*\\b${volumeGroup}\\b`, 'm'));
      expect(status).toMatch(/^NoNewPrivs:\t1$/m);
      for (const set of ['CapPrm', 'CapEff', 'CapInh', 'CapAmb'])
        expect(status).toMatch(new RegExp(`^${set}:\\t0+$`, 'm'));
    }
  });

  it('has a root that nobody can write, and one folder that it can', () => {
    for (const pod of pods) {
      const mounts = readFileSync(`/proc/${agent.pid(pod)}/mountinfo`, 'utf8')
        .trim()
        .split('\n');
      const options = (path: string): string | undefined =>
        mounts.map((line) => line.split(' ')).findLast(([, , , , mounted]) => mounted === path)?.[5];
      expect(options('/')).toMatch(/^ro/);
      const writable = mounts
        .map((line) => line.split(' '))
        .filter(([, , , , path = '', given = '']) => given.startsWith('rw') && !path.startsWith('/proc'))
        .map(([, , , , path]) => path);
      expect(writable).toEqual(['/var/log/osmo-admission']);
    }
  });
});

describe('the audit log', () => {
  it('is in a file on each replica’s volume, of that user, which the group of the volume lets in', async () => {
    await plane.api.send('POST', '/api/v1/namespaces/osmo-workflows/pods?dryRun=All', podOf('recorded'));
    for (const pod of pods) {
      const file = join(claimFolder(plane, `audit-${pod}`), 'audit.log');
      const { uid, gid, mode } = statSync(file);
      expect([uid, gid, mode & 0o777]).toEqual([user, volumeGroup, 0o600]);
      const [start] = jsonLines(file);
      expect(start).toMatchObject({ kind: 'LogStart', replica: pod, cluster: 'lab' });
    }
  });

  it('says of every review that the API server sent it', () => {
    const records = pods
      .flatMap((pod) => jsonLines(join(claimFolder(plane, `audit-${pod}`), 'audit.log')))
      .filter(({ kind }) => kind === 'AdmissionRecord');
    expect(records.length).toBeGreaterThan(0);
    expect(records.filter(({ callerVerified }) => callerVerified !== true)).toEqual([]);
  });
});

describe('a caller without the certificate', () => {
  it('is refused by every replica', async () => {
    const { body: secret } = await plane.api.send('GET', `/api/v1/namespaces/${where}/secrets/${webhookName}-ca`);
    const ca = Buffer.from(secret.data['tls.crt'], 'base64').toString();
    for (const pod of pods) {
      const body = JSON.stringify(buildReview(podOf('unasked'), 'system:admin'));
      const answer = await call({ host: agent.address(pod), port: 8443, serverName: host, ca, body });
      expect(answer.status).toBe(401);
    }
  });
});

describe('the certificate', () => {
  it('is for the Service in this namespace', async () => {
    const { body } = await plane.api.send('GET', `/api/v1/namespaces/${where}/secrets/${webhookName}-tls`);
    const certificate = new X509Certificate(Buffer.from(body.data['tls.crt'], 'base64'));
    expect(certificate.checkHost(host)).toBe(host);
    expect(certificate.checkHost(`${webhookName}.osmo-admission.svc`)).toBeUndefined();
  });
});

describe('the alerts', () => {
  it('name metrics, with labels and values, that the servers have once they have refused a node', async () => {
    const objects = await rendered({ ...values, metrics: { prometheusRule: { enabled: true } } });
    const alerts = at(one(objects, 'PrometheusRule'), 'spec', 'groups', 0, 'rules');
    const register = async (): Promise<number> =>
      (
        await plane.api.send('POST', '/api/v1/nodes?dryRun=All', nodeOf('old', 'compute', 'v1.20.0'), {
          as: kubeletOf('old'),
        })
      ).code;
    await eventually('a node is refused', async () => (await register()) === 422);
    let samples: readonly string[] = [];
    // The one that leads shows what it reports.
    await eventually('a replica leads', async () => {
      samples = (await Promise.all(pods.map(metricsOf))).join('').split('\n');
      return samples.some((line) => line.startsWith('osmo_admission_quarantine_reported_nodes '));
    });
    const unmatched = (Array.isArray(alerts) ? alerts : []).flatMap(({ alert, expr }) =>
      samplesIn(expr)
        .filter(({ name, labels }) => !samples.some((line) => isSampleOf(line, name, labels)))
        .map(({ name, labels }) => `${alert}: ${name}{${labels.join()}}`),
    );
    expect(unmatched).toEqual([]);
  });
});

/** Each metric that an expression names, with the labels that it selects and those that it is summed by. */
function samplesIn(expression: string): readonly { readonly name: string; readonly labels: readonly string[] }[] {
  const by = [...expression.matchAll(/by \((\w+)\)/g)].map(([, label]) => `${label}="`);
  return [...expression.matchAll(/(osmo_admission_\w+)(?:\{(.*?)\})?/g)].map(([, name = '', selected = '']) => ({
    name,
    labels: [...selected.split(', ').filter((label) => label !== ''), ...by],
  }));
}

const isSampleOf = (line: string, name: string, labels: readonly string[]): boolean =>
  (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) && labels.every((label) => line.includes(label));

describe('uninstalling', () => {
  it('runs its Job as that user there, too', async () => {
    await release.uninstall();
    const left = await plane.api.list(`/api/v1/namespaces/${where}/secrets`);
    expect(left.map(({ metadata }) => Object(metadata).name)).toEqual([]);
  });
});
