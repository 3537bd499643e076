import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parse, stringify } from 'yaml';
import type { ApiAnswer } from '../cluster/api-client.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { type Installation, install, startCluster } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import { kubeletPolicy } from './support/policy.ts';

/*
 * Pods that get their devices by Dynamic Resource Allocation. Kubernetes 1.37 serves resource.k8s.io/v1; 1.30 serves no claims without an alpha switch.
 */

const hasClaims = !inject('kubernetes').startsWith('1.30.');

let plane: ControlPlane;
let webhook: Installation;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  if (hasClaims) {
    for (const name of ['gpu.nvidia.com', 'nic.example.com']) await make('/deviceclasses', deviceClass(name));
    // There before the webhook is.
    await make('/namespaces/osmo-workflows/resourceclaims', claim('shared', 'gpu.nvidia.com'));
  }
  webhook = await install(plane, { policy: kubeletPolicy() });
  await eventually('the claims are looked for', async () => /claims: (synced|off)/.test(await readyz()));
}, 120_000);

afterAll(() => plane?.close(), 60_000);

const group = '/apis/resource.k8s.io/v1';
async function make(path: string, object: object): Promise<void> {
  const { code, body } = await plane.api.send('POST', `${group}${path}`, object);
  if (code !== 201) throw new Error(body.message);
}
const object = (kind: string, name: string, spec: object): object => ({
  ...{ apiVersion: 'resource.k8s.io/v1', kind, metadata: { name } },
  spec,
});
const deviceClass = (name: string): object => object('DeviceClass', name, {});
const devices = (deviceClassName: string): object => ({
  devices: { requests: [{ name: 'r', exactly: { deviceClassName } }] },
});
const claim = (name: string, of: string): object => object('ResourceClaim', name, devices(of));
const template = (name: string, spec: object): object => object('ResourceClaimTemplate', name, { spec });
const templates = '/namespaces/osmo-workflows/resourceclaimtemplates';

/** What the API server makes of a workflow pod with these claims. */
const createPod = (resourceClaims: readonly object[], resources: object = {}): Promise<ApiAnswer> =>
  plane.api.send('POST', '/api/v1/namespaces/osmo-workflows/pods?dryRun=All', {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'osmo-workflows' } },
    spec: { containers: [{ name: 'c', image: 'x', resources }], resourceClaims },
  });
const fromTemplate = (resourceClaimTemplateName: string): object => ({ name: 'r', resourceClaimTemplateName });
const readyz = async (): Promise<string> => (await fetch(`${webhook.health()}/readyz`)).text();

function expectGpu({ code, body, warnings }: ApiAnswer): void {
  expect(code).toBe(201);
  expect(body.spec.nodeSelector).toEqual({ 'node-type': 'gpu' });
  expect(body.spec.tolerations.map(({ key }: { key: string }) => key)).toEqual(
    expect.arrayContaining(['nvidia.com/gpu', 'node-type']),
  );
  expect(warnings).toEqual([]);
}

/** Placed as a pod that asks for no device: the exclusion alone. */
function expectCompute({ code, body }: ApiAnswer): void {
  expect(code).toBe(201);
  expect(body.spec.nodeSelector).toBeUndefined();
  expect(JSON.stringify(body.spec.affinity)).toContain('NotIn');
}

describe.runIf(hasClaims)('a pod that claims a device', () => {
  it('of a GPU class, by a claim that was there first, goes where GPUs are', async () => {
    expectGpu(await createPod([{ name: 'r', resourceClaimName: 'shared' }]));
    expect(await readyz()).toMatch(/^\[\+] claims: synced, 0 templates, 1 claims$/m);
  });

  it('by a template that comes later does so once it is there; until then it is admitted, and told', async () => {
    const before = await createPod([fromTemplate('late')]);
    expectCompute(before);
    expect(before.warnings).toEqual([
      'ResourceClaimTemplate late unknown: not placed as gpu (placement/claim-unknown)',
    ]);
    await make(templates, template('late', devices('gpu.nvidia.com')));
    const startedMs = performance.now();
    let pod = await createPod([fromTemplate('late')]);
    await eventually('the template is known', async () => {
      if (pod.body.spec.nodeSelector !== undefined) return true;
      pod = await createPod([fromTemplate('late')]);
      return false;
    });
    console.log(`a new template is known after at most ${Math.round(performance.now() - startedMs)} ms`);
    expectGpu(pod);
    await plane.api.send('DELETE', `${group}${templates}/late`);
    await eventually('the template is gone', async () => (await createPod([fromTemplate('late')])).warnings.length > 0);
  });

  it('by a second choice of one of two claims, too', async () => {
    const choices = ['nic.example.com', 'gpu.nvidia.com'].map((deviceClassName, index) => ({
      ...{ name: `c${index}`, deviceClassName },
    }));
    await make(templates, template('nic', devices('nic.example.com')));
    await make(templates, template('any', { devices: { requests: [{ name: 'r', firstAvailable: choices }] } }));
    await eventually('both are known', async () => (await readyz()).includes('2 templates'));
    expectGpu(await createPod([fromTemplate('nic'), { ...fromTemplate('any'), name: 's' }]));
    const other = await createPod([fromTemplate('nic')]);
    expectCompute(other);
    expect(other.warnings).toEqual([]);
  });

  it('as an extended resource of its device class, without any claim', async () => {
    const limits = { 'deviceclass.resource.kubernetes.io/gpu.nvidia.com': '1' };
    expectGpu(await createPod([], { limits }));
  });

  it('costs the webhook no watch where the policy asks for no device class', async () => {
    const profiles = [{ name: 'compute', match: {}, tolerations: [] }];
    webhook.writePolicy(stringify({ ...parse(kubeletPolicy()), profiles }));
    await eventually('nothing is watched', async () => !(await readyz()).includes('claims'));
    const pod = await createPod([{ name: 'r', resourceClaimName: 'shared' }]);
    expectCompute(pod);
    expect(pod.warnings).toEqual([]);
    webhook.writePolicy(kubeletPolicy());
    await eventually('they are watched again', async () => (await readyz()).includes('claims: synced'));
    expectGpu(await createPod([{ name: 'r', resourceClaimName: 'shared' }]));
  });
});

describe.runIf(!hasClaims)('an API server that serves no claims', () => {
  it('turns them off: said once in the log, noted in /readyz, and no reason to be unready', async () => {
    const response = await fetch(`${webhook.health()}/readyz`);
    expect(response.status).toBe(200);
    expect(await response.text()).toMatch(/^\[~] claims: off: the API server serves no resource claims/m);
    const said = webhook.log().filter(({ message }) => String(message).endsWith(': off'));
    expect(said.map(({ message }) => message).sort()).toEqual([
      'the API server serves no resourceclaims: off',
      'the API server serves no resourceclaimtemplates: off',
    ]);
  });

  it('has its pods judged as ever', async () => {
    const pod = await createPod([{ name: 'r', source: { resourceClaimTemplateName: 'gpu' } }]);
    expectCompute(pod);
    expect(pod.warnings).toEqual([]);
    expectGpu(await createPod([], { limits: { 'nvidia.com/gpu': '1' } }));
  });
});
