import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import type { SendOptions } from '../cluster/api-client.ts';
import { type ControlPlane, runCommand, type Said } from '../cluster/control-plane.ts';
import { type Installation, install, root, startCluster } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import { fixtureNode, type KubeObject } from '../support/fixtures.ts';
import { apply } from '../support/json-patch.ts';
import { judgedBy } from './support/judged-by.ts';
import { kubeletPolicy } from './support/policy.ts';

/* Which requests reach the webhook: by the API server's own audit log, and as the webhook itself compares it with the policy. */

let plane: ControlPlane;
let webhook: Installation;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  webhook = await install(plane, { policy: kubeletPolicy() });
}, 120_000);

afterAll(() => plane?.close(), 60_000);

const workflowLabels = { 'osmo.workflow_uuid': 'a', 'osmo.task_uuid': 'b' };
const pod = (metadata: object, spec: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata,
  spec: { containers: [{ name: 'c', image: 'x' }], ...spec },
});
const podsOf = (namespace: string): string => `/api/v1/namespaces/${namespace}/pods`;
const node = (name: string): KubeObject =>
  apply(fixtureNode('compute-1'), [{ op: 'replace', path: '/metadata/name', value: name }]) as KubeObject;
const podTemplate = { metadata: { labels: workflowLabels }, spec: { containers: [{ name: 'c', image: 'x' }] } };

interface Row {
  readonly what: string;
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly options?: SendOptions;
  /** First segment of the webhooks that judge it; undefined: none of ours does. */
  readonly by: string | undefined;
  /** Made on the way to a later row; the others are dry runs. */
  readonly real?: boolean;
}

const create = (what: string, path: string, body: unknown, by: string | undefined, more: Partial<Row> = {}): Row => ({
  ...{ what, method: 'POST', path, body, by },
  ...more,
});
const merge = (what: string, path: string, body: unknown, by?: string, as?: SendOptions['as']): Row => ({
  ...{ what, method: 'PATCH', path, body, by },
  options: { contentType: 'application/merge-patch+json', ...(as !== undefined && { as }) },
});
const taint = (key: string): object => ({ spec: { taints: [{ key, effect: 'NoSchedule' }] } });
const ready = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'x' };
const unscheduled = { schedulingGates: [{ name: 'example.com/wait' }] };

/** One request of every kind that touches what the rules are about. `by` is what a policy of defaults asks for. */
const rows: readonly Row[] = [
  create('a pod of a workflow namespace', podsOf('osmo-workflows'), pod({ name: 'w' }, unscheduled), 'pods', {
    real: true,
  }),
  create('one with the workflow labels', podsOf('osmo-workflows'), pod({ name: 'l', labels: workflowLabels }), 'pods'),
  create('one with a generateName', podsOf('osmo-workflows'), pod({ generateName: 'g-' }), 'pods'),
  create('one that a cluster admin makes', podsOf('osmo-workflows'), pod({ name: 'u' }), 'pods', {
    options: { as: { user: 'root', groups: ['system:masters'] } },
  }),
  create(
    'a pod with the workflow labels elsewhere',
    podsOf('default'),
    pod({ name: 'l', labels: workflowLabels }),
    'pods-elsewhere',
  ),
  create(
    'one in an exempt namespace',
    podsOf('kube-system'),
    pod({ name: 'l', labels: workflowLabels }),
    'pods-elsewhere',
  ),
  create(
    'a pod with one of the labels elsewhere',
    podsOf('default'),
    pod({ name: 'h', labels: { 'osmo.task_uuid': 'b' } }),
    undefined,
  ),
  create('any other pod', podsOf('default'), pod({ name: 'o' }), undefined),
  create(
    'a pod of the webhook’s own namespace',
    podsOf('osmo-admission'),
    pod({ name: 's', labels: workflowLabels }, restricted()),
    undefined,
  ),
  create('a node that an admin makes', '/api/v1/nodes', node('admin-made'), 'nodes', { real: true }),
  create('a node that its kubelet registers', '/api/v1/nodes', node('compute-9'), 'nodes', {
    real: true,
    options: { as: { user: 'system:node:compute-9', groups: ['system:nodes'] } },
  }),
  merge('a label on a node', '/api/v1/nodes/admin-made', { metadata: { labels: { a: 'b' } } }, 'nodes'),
  merge('a label through the status', '/api/v1/nodes/admin-made/status', { metadata: { labels: { a: 'b' } } }, 'nodes'),
  merge('a taint on a node', '/api/v1/nodes/admin-made', taint('ops'), 'nodes'),
  merge('a taint of the node lifecycle', '/api/v1/nodes/admin-made', taint('node.kubernetes.io/unreachable')),
  merge('a cordon', '/api/v1/nodes/admin-made', { spec: { unschedulable: true } }),
  merge('a heartbeat', '/api/v1/nodes/admin-made/status', { status: { conditions: [ready] } }),
  merge(
    'a heartbeat of its kubelet',
    '/api/v1/nodes/compute-9/status',
    { status: { conditions: [ready] } },
    undefined,
    {
      user: 'system:node:compute-9',
      groups: ['system:nodes'],
    },
  ),
  merge('a label on a workflow pod', `${podsOf('osmo-workflows')}/w`, { metadata: { labels: { a: 'b' } } }),
  merge('a status of a workflow pod', `${podsOf('osmo-workflows')}/w/status`, { status: { message: 'x' } }),
  create(
    'a Job',
    '/apis/batch/v1/namespaces/osmo-workflows/jobs',
    {
      ...{ apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'j' } },
      spec: { template: { ...podTemplate, spec: { ...podTemplate.spec, restartPolicy: 'Never' } } },
    },
    undefined,
  ),
  create(
    'a Namespace',
    '/api/v1/namespaces',
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'n' } },
    undefined,
  ),
];

/** What Pod Security "restricted" wants of a pod. */
function restricted(): object {
  const securityContext = {
    ...{ runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
    seccompProfile: { type: 'RuntimeDefault' },
  };
  return { containers: [{ name: 'c', image: 'x', securityContext }] };
}

describe('every request', () => {
  for (const { what, method, path, body, options, by, real = false } of rows) {
    it(`${what} is judged by ${by === undefined ? 'none of our webhooks' : `exactly one validating webhook, ${by}`}`, async () => {
      const {
        code,
        body: answer,
        auditId,
      } = await plane.api.send(method, real ? path : `${path}?dryRun=All`, body, options);
      expect(`${code} ${code >= 300 ? answer.message : ''}`).toMatch(/^20[01] $/);
      const judged = await judgedBy(plane, auditId);
      expect(judged.filter((name) => name.endsWith('.validate'))).toEqual(by === undefined ? [] : [`${by}.validate`]);
      expect(judged.filter((name) => name.endsWith('.mutate'))).toEqual(
        by === undefined || what === 'a taint on a node' ? [] : [`${by}.mutate`],
      );
    });
  }

  it('of every webhook that is generated is in that list', () => {
    const webhooks = parseAllDocuments(readFileSync(join(root, 'webhook-config', '03-webhooks.yaml'), 'utf8'))
      .map((document): KubeObject => document.toJS())
      .flatMap((object) => object.webhooks as readonly GeneratedWebhook[]);
    const shown = rows.flatMap(({ by, method, path }) =>
      by === undefined ? [] : [`${by} ${resourceOf(path)} ${method === 'POST' ? 'CREATE' : 'UPDATE'}`],
    );
    const generated = webhooks.flatMap(({ name, rules }) =>
      rules.flatMap(({ resources, operations }) =>
        resources.flatMap((resource) =>
          operations.map((operation) => `${name.split('.')[0]} ${resource} ${operation}`),
        ),
      ),
    );
    expect(generated.length).toBeGreaterThan(5);
    expect(generated.filter((request) => !shown.includes(request))).toEqual([]);
  });
});

interface GeneratedWebhook {
  readonly name: string;
  readonly rules: readonly { readonly resources: readonly string[]; readonly operations: readonly string[] }[];
}

/** `nodes/status` of `/api/v1/nodes/n/status`. */
function resourceOf(path: string): string {
  const [resource = '', , subresource] = path.replace(/^\/api\/v1\/(namespaces\/[^/]+\/(?=.))?/, '').split('/');
  return subresource === undefined ? resource : `${resource}/${subresource}`;
}

const check = (policy: string): Promise<Said> =>
  runCommand(join(root, 'bin', 'osmo-admission'), ['policy', 'check', '-', '--kubeconfig', plane.kubeconfig()], policy);

const gapsLogged = (): readonly string[] =>
  webhook
    .log()
    .filter(({ message }) => message === 'webhook configuration gap')
    .map(({ level, where, gap }) => `${level} ${where} ${gap}`);

describe('a policy that covers more than the API server sends', () => {
  const wider = stringify({
    apiVersion: 'osmo-admission/v1alpha1',
    kind: 'AdmissionPolicy',
    workflowPods: { namespaces: ['osmo-workflows', 'team-a'] },
  });

  it('is not what is installed: no gap, by command and by the server itself', async () => {
    await eventually('the server has compared', async () =>
      (await webhook.metrics()).includes('osmo_admission_configuration_gaps 0'),
    );
    const { code, stdout } = await check(kubeletPolicy());
    expect(code).toBe(0);
    expect(stdout).not.toContain('gap:');
  });

  it('is told before it is applied', async () => {
    const { code, stdout } = await check(wider);
    expect(code).toBe(1);
    expect(stdout).toContain(
      'gap: ValidatingWebhookConfiguration/osmo-admission-webhook webhooks[pods.validate.osmo-admission].namespaceSelector leaves out namespace team-a',
    );
  });

  it('is told by the server when it loads it, as an error in log and metric, and no longer once it is mended', async () => {
    webhook.writePolicy(wider);
    await eventually('the gap is logged', () =>
      gapsLogged().some((line) => line.includes('leaves out namespace team-a')),
    );
    expect(gapsLogged().every((line) => line.startsWith('error '))).toBe(true);
    await eventually('it is counted', async () =>
      /osmo_admission_configuration_gaps [1-9]/.test(await webhook.metrics()),
    );
    webhook.writePolicy(kubeletPolicy());
    await eventually('it is gone', async () =>
      (await webhook.metrics()).includes('osmo_admission_configuration_gaps 0'),
    );
  });

  it('is told of a namespace outside the list where pods bear the workflow labels', async () => {
    await plane.api.send('POST', podsOf('default'), pod({ name: 'stray', labels: workflowLabels }, unscheduled));
    const { code, stdout } = await check(kubeletPolicy());
    expect(code).toBe(1);
    expect(stdout).toContain('gap: Namespace/default holds pods with the workflow labels');
    // The server looks when its policy changes.
    webhook.writePolicy(`${kubeletPolicy()}exemptions: []\n`);
    await eventually('the server says so', () =>
      gapsLogged().some((line) => line.startsWith('error Namespace/default ')),
    );
    expect(stdout.split('gap:')).toHaveLength(2);
    await plane.api.send('DELETE', `${podsOf('default')}/stray`, { gracePeriodSeconds: 0 });
  });
});

describe('what is installed', () => {
  it('starts under Pod Security "restricted": the ReplicaSet’s pods are made', async () => {
    await eventually('two pods', async () => (await plane.api.list(podsOf('osmo-admission'))).length === 2);
  });
});
