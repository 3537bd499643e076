import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { ownSecretLabel } from '../../src/manifests/objects.ts';
import { createSelfSigned } from '../../src/server/self-signed.ts';
import { type ControlPlane, runCommand, type Said, toYaml } from '../cluster/control-plane.ts';
import { root, startCluster } from '../cluster/installation.ts';
import { chart } from '../cluster/release.ts';
import { argumentsOf, isHook, one, rendered } from './support.ts';

/** What the chart makes, in the eyes of a real API server: its defaults, and what is switched on seldom. */
describe('an API server takes', () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await startCluster(inject('binaries'));
    await plane.apply(
      ['apply', '-f', '-'],
      [
        {
          apiVersion: 'v1',
          kind: 'Namespace',
          metadata: { name: 'osmo-admission', labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
        },
      ],
    );
  });
  afterAll(() => plane?.close());

  const now = Date.now();
  const { certPem: caBundle } = createSelfSigned({
    ...{ dnsNames: ['any'], ipAddresses: [] },
    ...{ notBefore: new Date(now - 60_000), notAfter: new Date(now + 3_600_000) },
  });
  it.each([
    ['the defaults', {}],
    ['certificates of cert-manager', { tls: { mode: 'cert-manager' } }],
    ['a certificate of one’s own', { tls: { mode: 'secret', secretName: 'own', caBundle } }],
    [
      'an audit file, a signing key, and whatever else is a line in the pod',
      {
        audit: { file: { enabled: true, storageClassName: 'fast' }, signing: { secretName: 'k' }, clusterName: 'a: b' },
        image: { digest: `sha256:${'0'.repeat(64)}` },
        imagePullSecrets: [{ name: 'registry' }],
        podAnnotations: { a: 'b' },
        podLabels: { c: 'd' },
        commonLabels: { 'admissions.enforcer/disabled': 'true' },
        workloadAnnotations: { g: 'h' },
        nodeSelector: { e: 'f' },
        podSecurityContext: { runAsUser: 1000 },
        networkPolicy: { apiServerCIDRs: ['10.0.0.0/8', 'fd00::/8'], healthFrom: [{ namespaceSelector: {} }] },
        metrics: { service: { enabled: true } },
        clientVerification: { caBundle, allowedNames: ['kube-apiserver'], required: true },
      },
    ],
    ['the host’s network', { hostNetwork: true, ports: { https: 9443, health: 9080 } }],
    [
      'reserved nodes under monitor',
      { policy: { preset: 'monitor', rules: { 'reserved-nodes': { enforcement: 'warn', taints: [{ key: 'a' }] } } } },
    ],
  ])('%s, and every pod of it in a namespace under Pod Security "restricted"', async (name, values) => {
    const objects = await rendered(values);
    await plane.apply(['apply', '--server-side', '--dry-run=server', '-f', '-'], objects);
    const pods = objects.flatMap((object) => {
      const template = Object(Object(object.spec).template);
      return template.spec === undefined ? [] : [{ apiVersion: 'v1', kind: 'Pod', ...template }];
    });
    expect(pods).toHaveLength(2);
    for (const [index, { metadata, ...pod }] of pods.entries()) {
      const path = '/api/v1/namespaces/osmo-admission/pods?dryRun=All';
      const own = { ...metadata, name: `pod-${index}` };
      // The Job's service account is a hook's, and not there; volumes of a StatefulSet are named when its pods are made.
      const spec = { ...pod.spec, serviceAccountName: 'default' };
      spec.containers = [{ ...spec.containers[0], volumeMounts: [] }];
      const { code, body } = await plane.api.send('POST', path, { ...pod, metadata: own, spec });
      const isForbidden = name === 'the host’s network' && index === 0;
      expect(code, JSON.stringify(body)).toBe(isForbidden ? 403 : 201);
    }
    expect(objects.filter(isHook)).toHaveLength(6);
  });

  it('the command of the Job at the end, which the Job’s own rights are enough for', { timeout: 120_000 }, async () => {
    const objects = await rendered({});
    const job = one(objects, 'Job', 'osmo-admission-webhook-uninstall');
    const owned = { namespace: 'osmo-admission', labels: ownSecretLabel };
    await plane.apply(
      ['apply', '-f', '-'],
      [
        ...objects.filter((object) => isHook(object) && object !== job),
        ...objects.filter(({ kind }) => String(kind).endsWith('WebhookConfiguration')),
        ...['ca', 'tls'].map((name) => ({
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { ...owned, name: `osmo-admission-webhook-${name}` },
        })),
        ...['quarantine', 'certificates'].map((name) => ({
          apiVersion: 'coordination.k8s.io/v1',
          kind: 'Lease',
          metadata: { namespace: 'osmo-admission', name: `osmo-admission-webhook-${name}` },
        })),
        {
          apiVersion: 'v1',
          kind: 'Node',
          metadata: { name: 'marked', labels: { 'osmo-admission/quarantined': 'violated' } },
        },
      ],
    );
    const account = 'osmo-admission-webhook-uninstall';
    const { stdout: token } = await plane.apply(['create', 'token', account, '-n', 'osmo-admission']);
    const kubeconfig = plane.writeKubeconfig('uninstall', token.trim());
    const command = [...argumentsOf(job), '--kubeconfig', kubeconfig];
    const { stdout, stderr } = await runCommand(join(root, 'bin', 'osmo-admission'), command);
    expect(stderr).toBe('');
    expect(stdout.trim().split('\n').sort()).toEqual([
      'deleted lease/osmo-admission-webhook-certificates',
      'deleted lease/osmo-admission-webhook-quarantine',
      'deleted mutatingwebhookconfigurations/osmo-admission-webhook',
      'deleted secret/osmo-admission-webhook-ca',
      'deleted secret/osmo-admission-webhook-tls',
      'deleted validatingwebhookconfigurations/osmo-admission-webhook',
      'node/marked: mark and annotation taken away',
    ]);
    await plane.apply(
      ['delete', '-f', '-'],
      objects.filter((object) => isHook(object) && object !== job),
    );
  });

  it('one installation a cluster: another is told where the first one is, and both can be upgraded and taken away', async () => {
    const helm = (...args: readonly string[]): Promise<Said> =>
      runCommand(inject('binaries').helm, [...args, '--kubeconfig', plane.kubeconfig()]);
    expect(await helm('install', 'first', chart, '--namespace', 'osmo-admission')).toMatchObject({ code: 0 });
    const second = await helm('install', 'second', chart, '--namespace', 'default');
    expect(second.stderr).toContain(
      'osmo-admission-webhook is installed already, by release first in namespace osmo-admission; there is one installation a cluster',
    );
    expect(await helm('upgrade', 'first', chart, '--namespace', 'osmo-admission')).toMatchObject({ code: 0 });
    // The Job has no container runtime here.
    const flags = ['--namespace', 'osmo-admission', '--no-hooks'];
    expect(await helm('uninstall', 'first', ...flags)).toMatchObject({ code: 0 });
    const stdin = toYaml(await rendered({ uninstall: { enabled: false } }));
    const left = await plane.kubectl(['get', '--ignore-not-found', '-o', 'name', '-f', '-'], { stdin });
    expect(left.stdout.split('\n').filter((line) => line !== '')).toEqual([]);
    await plane.apply(
      ['apply', '-f', '-'],
      [
        {
          apiVersion: 'admissionregistration.k8s.io/v1',
          kind: 'ValidatingWebhookConfiguration',
          metadata: { name: 'osmo-admission-webhook' },
          webhooks: [],
        },
      ],
    );
    const beside = await helm('install', 'third', chart, '--namespace', 'osmo-admission');
    expect(beside.stderr).toContain('is installed already, by other means than Helm');
  });
});
