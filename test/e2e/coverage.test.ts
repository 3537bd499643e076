import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { type ControlPlane, runCommand, type Said } from '../cluster/control-plane.ts';
import { type Installation, install, root, startCluster } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import type { KubeObject } from '../support/fixtures.ts';
import { rows } from './support/coverage-rows.ts';
import { judgedBy } from './support/judged-by.ts';
import { kubeletPolicy } from './support/policy.ts';
import { gate, podOf, podsOf, workflowLabels } from './support/ways.ts';

/* Which requests reach the webhook: by the API server's own audit log, and as the webhook itself compares it with the policy. */

let plane: ControlPlane;
let webhook: Installation;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  webhook = await install(plane, { policy: kubeletPolicy() });
}, 120_000);

afterAll(() => plane?.close(), 60_000);

describe('every request', () => {
  for (const { what, method, path, body, options, by, mutated = true, real = false } of rows) {
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
        by === undefined || !mutated ? [] : [`${by}.mutate`],
      );
    });
  }

  it('of every webhook that is generated is in that list', () => {
    const webhooks = parseAllDocuments(readFileSync(join(root, 'webhook-config', '03-webhooks.yaml'), 'utf8'))
      .map((document): KubeObject => document.toJS())
      .flatMap((object) => object.webhooks as readonly GeneratedWebhook[]);
    const shown = rows.flatMap(({ by, mutated = true, method, path }) =>
      by === undefined
        ? []
        : ['validate', ...(mutated ? ['mutate'] : [])].map(
            (phase) => `${by}.${phase} ${resourceOf(path)} ${method === 'POST' ? 'CREATE' : 'UPDATE'}`,
          ),
    );
    const generated = webhooks.flatMap(({ name, rules }) =>
      rules.flatMap(({ resources, operations }) =>
        resources.flatMap((resource) =>
          operations.map((operation) => `${name.replace('.osmo-admission', '')} ${resource} ${operation}`),
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
  const [resource = '', , subresource] = path
    .replace(/^\/apis?\/([a-z]+\/)?v1\/(namespaces\/[^/]+\/(?=.))?/, '')
    .split('/');
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
    await plane.api.send(
      'POST',
      podsOf('default'),
      podOf('stray', gate, { namespace: 'default', labels: workflowLabels }),
    );
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
