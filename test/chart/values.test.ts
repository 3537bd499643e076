import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, inject, it } from 'vitest';
import { leavesOf } from '../../scripts/chart/emit.ts';
import { isGroup, type Leaf, type Values } from '../../scripts/chart/value.ts';
import { values } from '../../scripts/chart/values.ts';
import { readServeFlags } from '../../src/cli/serve-flags.ts';
import { isObject, type JsonObject } from '../../src/policy/model/read.ts';
import { runCommand } from '../cluster/control-plane.ts';
import { chart } from '../cluster/release.ts';
import { runCli } from '../support/cli.ts';
import { argumentsOf, at, isHook, one, render, rendered } from './support.ts';

const pem = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';

/** Everything switched on, so that every value has something to say. */
const allOn = {
  tls: { mode: 'cert-manager', issuerRef: { name: 'corp' } },
  audit: { file: { enabled: true, storageClassName: 'fast' }, signing: { secretName: 'key' } },
  metrics: { service: { enabled: true }, serviceMonitor: { enabled: true }, prometheusRule: { enabled: true } },
};

/** What a value needs that the rest does not have. */
const needs: Readonly<Record<string, object>> = {
  'tls.secretName': { tls: { mode: 'secret', secretName: 'a', caBundle: pem } },
  'tls.caBundle': { tls: { mode: 'secret', secretName: 'a', caBundle: pem } },
  'clientVerification.allowedNames': { clientVerification: { configMapName: 'cas' } },
  'clientVerification.required': { clientVerification: { configMapName: 'cas' } },
  // Otherwise the ServiceMonitor brings the Service along.
  'metrics.service.enabled': { ...allOn, metrics: { serviceMonitor: { enabled: false } } },
};

/** Another value that is good, where the schema alone does not say one. */
const others: Readonly<Record<string, unknown>> = {
  'image.digest': `sha256:${'a'.repeat(64)}`,
  'tls.mode': 'self-signed',
  'tls.caBundle': pem.replace('MIIB', 'MIIC'),
  'clientVerification.caBundle': pem,
  'clientVerification.allowedNames': ['kube-apiserver'],
  'audit.file.size': '5Gi',
  'audit.file.maxSize': '5Mi',
  'audit.file.maxAge': '24h',
  'audit.signing.interval': '5m',
  reloadInterval: '1m',
  'metrics.serviceMonitor.interval': '1m',
  'metrics.prometheusRule.docsUrl': 'https://docs.example/osmo/',
  'metrics.prometheusRule.nodesMarkedFor': '1h',
  'networkPolicy.apiServerCIDRs': ['10.0.0.0/8', 'fd00::/8'],
};

function another(path: string, { value, schema }: Leaf, base: object): unknown {
  if (path in others) return others[path];
  if (typeof value === 'boolean') return !(at(base, ...path.split('.')) ?? value);
  if (typeof value === 'number') return value + 1;
  if (Array.isArray(schema.enum)) return schema.enum.find((each) => each !== value);
  if (typeof value === 'string') return 'another';
  return Array.isArray(value) ? [{ name: 'another' }] : { another: 'yes-it-is' };
}

const nested = (path: string, value: unknown): object =>
  path.split('.').reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as object;

function merged(base: unknown, over: unknown): unknown {
  if (!isObject(base) || !isObject(over)) return over;
  const keys = new Set([...Object.keys(base), ...Object.keys(over)]);
  return Object.fromEntries([...keys].map((key) => [key, key in over ? merged(base[key], over[key]) : base[key]]));
}

const settingsOf = (objects: readonly JsonObject[], kind = 'Deployment'): ReturnType<typeof readServeFlags> =>
  readServeFlags(argumentsOf(one(objects, kind)).slice(1), { POD_NAME: 'x' });

describe('the chart', () => {
  it('is what helm lint --strict finds nothing about', async () => {
    const { stdout, code } = await runCommand(inject('binaries').helm, ['lint', '--strict', chart]);
    expect(stdout).toContain('1 chart(s) linted, 0 chart(s) failed');
    expect(code).toBe(0);
  });

  it('is for Kubernetes 1.30 and later, whatever a vendor adds to the version', async () => {
    expect((await render({}, '--kube-version', '1.29.9')).stderr).toContain('incompatible with Kubernetes');
    for (const version of ['1.30.0', 'v1.30.4+k3s1', 'v1.30.2-eks-1552ad0']) {
      expect((await render({}, '--kube-version', version)).stderr).toBe('');
    }
  });
});

describe('values.yaml', () => {
  it('says of each value, in words that no other has, what it does', () => {
    const abouts = leavesOf(values).map(([path, { about }]) => [path, about] as const);
    for (const [path, about] of abouts) expect(about, path).toMatch(/^\S+ \S+ .*\.$/s);
    expect(new Set(abouts.map(([, about]) => about)).size).toBe(abouts.length);
  });

  it('is written out in full, so that a part of it can be copied: no anchors', () => {
    const text = readFileSync(join(chart, 'values.yaml'), 'utf8');
    expect(text.split('\n').filter((line) => /^[^#]*[:-] +[&*]\w/.test(line))).toEqual([]);
  });
});

describe('every value does something', () => {
  for (const [path, leaf] of leavesOf(values)) {
    it(path, async () => {
      const base = needs[path] ?? allOn;
      const changed = merged(base, nested(path, another(path, leaf, base)));
      expect(await rendered(Object(changed))).not.toEqual(await rendered(base));
    });
  }
});

describe('a text stays in its own place, whatever YAML makes of it', () => {
  // A map, a comment and a list; lines that end as YAML ends them and nobody indents; what is no text unless it is quoted; an action of Helm.
  const hostile = [
    'a: b # [c',
    'a"\n  hostNetwork: true',
    'a\u2028hostNetwork: true',
    'a\rb: c',
    '0x1f',
    '{{ fail "x" }}',
  ];
  const texts = leavesOf(values).filter(([, { value, schema }]) => typeof value === 'string' && !('enum' in schema));

  /** As a file whose own text means the same to every reader of YAML. */
  const written = (tree: unknown): string => JSON.stringify(tree).replaceAll('\u2028', '\\u2028');

  for (const [path] of texts) {
    it(path, async () => {
      const base = needs[path] ?? allOn;
      const isPem = /caBundle$/.test(path);
      const whole = (text: string): string => (isPem ? `${pem}${text}` : text);
      const textsWith = async (text: string): Promise<string> => {
        const { code, stderr, objects } = await render(written(merged(base, nested(path, whole(text)))));
        if (code !== 0) return stderr;
        const plain = JSON.stringify(objects).replaceAll(Buffer.from(whole(text)).toString('base64'), 'VALUE');
        return plain.replaceAll(JSON.stringify(text).slice(1, -1), 'VALUE');
      };
      const good = await textsWith('plain-text');
      for (const text of hostile) {
        const made = await textsWith(text);
        if (made.includes('does not match pattern')) expect(made).toContain(`/${path.replaceAll('.', '/')}`);
        else expect(made).toBe(good);
      }
    });
  }
});

describe('values that are wrong are refused, each by its path', () => {
  const groupsOf = (tree: Values, path: readonly string[] = []): readonly string[] => [
    path.join('.'),
    ...Object.entries(tree).flatMap(([key, value]) => (isGroup(value) ? groupsOf(value.values, [...path, key]) : [])),
  ];

  it('a key that is not known, in every group and in the policy', async () => {
    for (const path of [...groupsOf(values), 'policy', 'policy.rules', 'policy.rules.placement', 'policy.nodes']) {
      const { stderr } = await render(nested(`${path === '' ? '' : `${path}.`}surely-not`, 'x'));
      expect(stderr, path).toContain(`at '${path === '' ? '' : `/${path.replaceAll('.', '/')}`}'`);
      expect(stderr, path).toContain("additional properties 'surely-not' not allowed");
    }
  });

  it.each([
    [
      'a version that is no text',
      { policy: { rules: { 'node-conformance': { cuda: { minimum: 12.6 } } } } },
      '/policy/rules/node-conformance/cuda/minimum',
      'got number, want string',
    ],
    [
      'an enforcement that there is not',
      { policy: { rules: { placement: { enforcement: 'deny' } } } },
      '/policy/rules/placement/enforcement',
      "'enforce', 'warn', 'audit', 'off'",
    ],
    ['a preset that there is not', { policy: { preset: 'on' } }, '/policy/preset', "'enforce', 'monitor'"],
    [
      'a default that null may not take away',
      { policy: { rules: { placement: null } } },
      '/policy/rules',
      "missing property 'placement'",
    ],
    [
      'a namespace that none can be called',
      { policy: { workflowPods: { namespaces: ['osmo-*'] } } },
      '/policy/workflowPods/namespaces/0',
      'does not match pattern',
    ],
    [
      'a label that is none',
      { policy: { workflowPods: { labels: ['a b'] } } },
      '/policy/workflowPods/labels/0',
      'does not match pattern',
    ],
    ['replicas that are no number', { replicaCount: 'two' }, '/replicaCount', 'got string, want integer'],
    ['a group that null took away', { tls: null }, '', "missing property 'tls'"],
    ['a duration without a unit', { reloadInterval: '30' }, '/reloadInterval', 'does not match pattern'],
    [
      'a budget that never lets a drain end',
      { podDisruptionBudget: { maxUnavailable: 0 } },
      '/podDisruptionBudget/maxUnavailable',
      'minimum',
    ],
    [
      'client certificates without an authority',
      { clientVerification: { required: true } },
      'clientVerification.required',
      'give clientVerification.caBundle or clientVerification.configMapName',
    ],
    [
      'names of callers without an authority',
      { clientVerification: { allowedNames: ['kube-apiserver'] } },
      'clientVerification.allowedNames',
      'give clientVerification.caBundle or clientVerification.configMapName',
    ],
    [
      'two places for the authorities of client certificates',
      { clientVerification: { caBundle: pem, configMapName: 'cas' } },
      'clientVerification.caBundle',
      'come from one of them',
    ],
    [
      'a name of a caller that would be two',
      { clientVerification: { configMapName: 'cas', allowedNames: ['a,b'] } },
      '/clientVerification/allowedNames/0',
      'does not match pattern',
    ],
    ['an audit log that goes nowhere', { audit: { stdout: false } }, '', 'the audit log has to go somewhere'],
  ])('%s', async (_, wrong, path, words) => {
    const { stderr, code } = await render(wrong);
    expect(code).toBe(1);
    expect(stderr).toContain(path);
    expect(stderr).toContain(words);
  });
});

it('an issuer of cert-manager may be of a kind that another group brings', async () => {
  const issuerRef = { name: 'corp', kind: 'AWSPCAClusterIssuer', group: 'awspca.cert-manager.io' };
  const objects = await rendered({ tls: { mode: 'cert-manager', issuerRef } });
  expect(at(one(objects, 'Certificate'), 'spec', 'issuerRef')).toEqual(issuerRef);
});

describe('the server’s arguments', () => {
  it('are its own defaults where no value says otherwise', async () => {
    const settings = settingsOf(await rendered({ tls: { mode: 'cert-manager' } }));
    const files = [
      '--tls-cert-file=/etc/osmo-admission-tls/tls.crt',
      '--tls-private-key-file=/etc/osmo-admission-tls/tls.key',
    ];
    expect(settings).toEqual(readServeFlags(['--config=/etc/osmo-admission/policy.yaml', ...files], { POD_NAME: 'x' }));
  });

  it('say every value of the audit log', async () => {
    const objects = await rendered({
      audit: {
        file: { enabled: true, maxSize: '5Mi', maxAge: '24h', keep: 3, compress: false, fsync: 'always' },
        onError: 'deny',
        signing: { secretName: 'keys', key: 'k', records: 7, interval: '5m' },
        clusterName: 'lab, "1"',
      },
    });
    expect(settingsOf(objects, 'StatefulSet')).toMatchObject({
      audit: {
        ...{ stdout: true, file: '/var/log/osmo-admission/audit.log', maxBytes: 5 * 2 ** 20, maxAgeMs: 86_400_000 },
        ...{ keep: 3, compress: false, fsync: 'always', onError: 'deny', cluster: 'lab, "1"' },
        ...{ signingKey: '/etc/osmo-admission-signing/k', checkpointRecords: 7, checkpointIntervalMs: 300_000 },
      },
    });
  });

  it('ask for client certificates of a ConfigMap, by names, and only where one is given', async () => {
    const objects = await rendered({
      clientVerification: { configMapName: 'cas', allowedNames: ['kube-apiserver', 'the other one'], required: true },
    });
    expect(settingsOf(objects)).toMatchObject({
      client: {
        caFile: '/etc/osmo-admission-client/ca.crt',
        allowedNames: new Set(['kube-apiserver', 'the other one']),
        required: true,
      },
    });
    const pod = at(one(objects, 'Deployment'), 'spec', 'template', 'spec');
    expect(at(pod, 'volumes')).toContainEqual({ name: 'client-ca', configMap: { name: 'cas' } });
    const mounts = { name: 'client-ca', mountPath: '/etc/osmo-admission-client', readOnly: true };
    expect(at(pod, 'containers', 0, 'volumeMounts')).toContainEqual(mounts);
    expect(settingsOf(await rendered({}))).toMatchObject({ client: undefined });
  });

  it('find the authorities of client certificates in a ConfigMap of the chart, where they are given as text', async () => {
    const objects = await rendered({ clientVerification: { caBundle: `\n${pem}${pem}` } });
    expect(at(one(objects, 'ConfigMap', 'osmo-admission-webhook-client-ca'), 'data')).toEqual({ 'ca.crt': pem + pem });
    expect(at(one(objects, 'Deployment'), 'spec', 'template', 'spec', 'volumes')).toContainEqual({
      name: 'client-ca',
      configMap: { name: 'osmo-admission-webhook-client-ca' },
    });
    expect(settingsOf(objects)).toMatchObject({ client: { allowedNames: new Set(), required: false } });
  });

  it('leave standard output out where it is switched off', async () => {
    const objects = await rendered({ audit: { stdout: false, file: { enabled: true } } });
    expect(settingsOf(objects, 'StatefulSet')).toMatchObject({ audit: { stdout: false } });
  });

  it('search no pods where that right is kept back', async () => {
    const objects = await rendered({ podSearch: false });
    expect(settingsOf(objects)).toMatchObject({ searchPods: false });
    expect(() => one(objects, 'ClusterRole', 'osmo-admission-webhook-pod-search')).toThrow('no ClusterRole');
  });

  it('drain within the grace period', async () => {
    const objects = await rendered({ shutdown: { delay: 20, timeout: 60, spare: 7 } });
    expect(settingsOf(objects)).toMatchObject({ shutdownDelayMs: 20_000, shutdownTimeoutMs: 60_000 });
    expect(at(one(objects, 'Deployment'), 'spec', 'template', 'spec', 'terminationGracePeriodSeconds')).toBe(87);
  });
});

describe('the workload', () => {
  const podOf = (objects: readonly JsonObject[], kind = 'Deployment'): unknown =>
    at(one(objects, kind), 'spec', 'template', 'spec');

  it('with an audit file is a StatefulSet with a volume for each replica, which outlives it', async () => {
    const objects = await rendered({ audit: { file: { enabled: true, size: '5Gi' } } });
    expect(objects.map(({ kind }) => kind)).not.toContain('Deployment');
    const spec = at(one(objects, 'StatefulSet'), 'spec');
    expect(at(spec, 'volumeClaimTemplates', 0, 'spec', 'resources', 'requests', 'storage')).toBe('5Gi');
    expect(at(spec, 'persistentVolumeClaimRetentionPolicy')).toEqual({ whenDeleted: 'Retain', whenScaled: 'Retain' });
    expect(at(podOf(objects, 'StatefulSet'), 'containers', 0, 'volumeMounts')).toContainEqual({
      name: 'audit',
      mountPath: '/var/log/osmo-admission',
    });
  });

  it('asks for no user and no group of its own, unless it is told or a volume must be written', async () => {
    expect(at(podOf(await rendered({})), 'securityContext')).toEqual({
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    const own = await rendered({ podSecurityContext: { runAsUser: 1000 } });
    expect(at(podOf(own), 'securityContext', 'runAsUser')).toBe(1000);
    const withFile = { audit: { file: { enabled: true } } };
    expect(at(podOf(await rendered(withFile), 'StatefulSet'), 'securityContext', 'fsGroup')).toBe(65_532);
    const openShift = await rendered({ ...withFile, podSecurityContext: { fsGroup: 7 } });
    expect(at(podOf(openShift, 'StatefulSet'), 'securityContext', 'fsGroup')).toBe(7);
  });

  it('is required nowhere: what it says of nodes are wishes and tolerations', async () => {
    const pod = JSON.stringify(podOf(await rendered({})));
    expect(pod).not.toMatch(/requiredDuringScheduling|DoNotSchedule|nodeSelector"/);
    expect(at(podOf(await rendered({})), 'tolerations')).toEqual([
      { key: 'ops', operator: 'Exists' },
      { key: 'node-type', operator: 'Equal', value: 'operator' },
      { key: 'node-role.kubernetes.io/control-plane', operator: 'Exists' },
    ]);
  });

  it('gives up a replica before it takes one where the host’s ports are in use', async () => {
    const objects = await rendered({ hostNetwork: true });
    expect(at(podOf(objects), 'dnsPolicy')).toBe('ClusterFirstWithHostNet');
    expect(at(one(objects, 'Deployment'), 'spec', 'strategy', 'rollingUpdate')).toEqual({
      maxUnavailable: 1,
      maxSurge: 0,
    });
  });

  it('runs an image by tag, by digest, or the one of the chart’s appVersion', async () => {
    const imageOf = async (image: object): Promise<unknown> =>
      at(podOf(await rendered({ image: { repository: 'r.example/w', ...image } })), 'containers', 0, 'image');
    const { version } = JSON.parse(readFileSync(join(chart, '..', '..', 'package.json'), 'utf8'));
    expect(await imageOf({})).toBe(`r.example/w:${version}`);
    expect(await imageOf({ tag: '2' })).toBe('r.example/w:2');
    const digest = `sha256:${'0'.repeat(64)}`;
    expect(await imageOf({ tag: '2', digest })).toBe(`r.example/w@${digest}`);
  });

  it('keeps the labels that its Service goes by, whatever labels its pods get', async () => {
    const name = 'app.kubernetes.io/name';
    const objects = await rendered({
      podLabels: { team: 'x', [name]: 'another' },
      podAnnotations: { 'checksum/policy': 'z' },
    });
    const labels = at(one(objects, 'Deployment'), 'spec', 'template', 'metadata', 'labels');
    expect(labels).toEqual({ team: 'x', ...Object(at(one(objects, 'Service'), 'spec', 'selector')) });
    const annotations = at(one(objects, 'Deployment'), 'spec', 'template', 'metadata', 'annotations');
    expect(at(annotations, 'checksum/policy')).toMatch(/^[0-9a-f]{64}$/);
  });

  it('bears annotations of its own, which its pods do not', async () => {
    const objects = await rendered({ workloadAnnotations: { a: 'b' } });
    expect(at(one(objects, 'Deployment'), 'metadata', 'annotations')).toEqual({ a: 'b' });
    expect(at(one(objects, 'Deployment'), 'spec', 'template', 'metadata', 'annotations')).not.toHaveProperty('a');
  });
});

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: Readonly<Record<string, string>>;
}

async function alertsOf(values: object): Promise<readonly Alert[]> {
  const objects = await rendered(merged({ metrics: { prometheusRule: { enabled: true } } }, values) as object);
  return at(one(objects, 'PrometheusRule'), 'spec', 'groups', 0, 'rules') as readonly Alert[];
}

/** As a repository page makes it of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');

describe('labels of all objects', () => {
  const own = { 'app.kubernetes.io/name': 'osmo-admission-webhook', 'app.kubernetes.io/managed-by': 'Helm' };

  it('are those of every object and of every pod, and change none that the chart sets itself', async () => {
    const objects = await rendered({ ...allOn, commonLabels: { team: 'x', 'app.kubernetes.io/name': 'another' } });
    expect(objects.length).toBeGreaterThan(20);
    for (const object of objects) {
      const labels = at(object, 'metadata', 'labels');
      expect(labels, String(object.kind)).toMatchObject({ team: 'x', ...own });
      const pod = at(object, 'spec', 'template', 'metadata', 'labels');
      if (pod !== undefined) expect(pod).toMatchObject({ team: 'x' });
    }
    const selected = at(one(objects, 'Service'), 'spec', 'selector');
    expect(selected).toEqual({ 'app.kubernetes.io/name': own['app.kubernetes.io/name'] });
    expect(at(one(objects, 'StatefulSet'), 'spec', 'template', 'metadata', 'labels')).toMatchObject(Object(selected));
  });

  it('give way to those that a ServiceMonitor or PrometheusRule is found by', async () => {
    const labels = { release: 'prometheus' };
    const metrics = { serviceMonitor: { enabled: true, labels }, prometheusRule: { enabled: true, labels } };
    const objects = await rendered({ metrics, commonLabels: { release: 'another' } });
    for (const kind of ['ServiceMonitor', 'PrometheusRule'])
      expect(at(one(objects, kind), 'metadata', 'labels'), kind).toMatchObject(labels);
  });
});

describe('what stands around it', () => {
  const kinds = async (switched: object): Promise<readonly unknown[]> =>
    (await rendered(switched)).filter((object) => !isHook(object)).map(({ kind }) => kind);

  it('can be left out: budget, NetworkPolicy, Job at the end', async () => {
    expect(await kinds({ podDisruptionBudget: { enabled: false } })).not.toContain('PodDisruptionBudget');
    expect(await kinds({ networkPolicy: { enabled: false } })).not.toContain('NetworkPolicy');
    expect((await rendered({ uninstall: { enabled: false } })).filter(isHook)).toEqual([]);
  });

  it('opens the port to everybody until the API server’s addresses are given', async () => {
    const ingress = async (networkPolicy: object): Promise<unknown> =>
      at(one(await rendered({ networkPolicy }), 'NetworkPolicy'), 'spec', 'ingress');
    const port = (name: string): object => ({ ports: [{ port: name, protocol: 'TCP' }] });
    expect(await ingress({})).toEqual([port('https'), port('health')]);
    const from = [{ namespaceSelector: {} }];
    expect(await ingress({ apiServerCIDRs: ['10.0.0.1/32'], healthFrom: from })).toEqual([
      { ...port('https'), from: [{ ipBlock: { cidr: '10.0.0.1/32' } }] },
      { ...port('health'), from },
    ]);
  });

  it('has nothing of Prometheus unless it is asked for; a ServiceMonitor brings its Service along', async () => {
    const monitors = ['ServiceMonitor', 'PrometheusRule'];
    expect((await kinds({})).filter((kind) => monitors.includes(String(kind)))).toEqual([]);
    const objects = await rendered({ metrics: { serviceMonitor: { enabled: true } } });
    const service = one(objects, 'Service', 'osmo-admission-webhook-metrics');
    expect(at(service, 'metadata', 'labels')).toMatchObject(
      Object(at(one(objects, 'ServiceMonitor'), 'spec', 'selector', 'matchLabels')),
    );
  });

  it('has for each alert a severity, what it means, and a section of the docs that there is', async () => {
    const alerts = await alertsOf({ clientVerification: { configMapName: 'cas' } });
    expect(alerts.length).toBeGreaterThan(12);
    expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length);
    for (const { alert, labels, annotations } of alerts) {
      expect(['critical', 'warning'], alert).toContain(labels.severity);
      expect(Object.keys(annotations).sort(), alert).toEqual(['description', 'runbook', 'summary']);
      const [file = '', section = ''] = annotations.runbook?.split('#') ?? [];
      const text = readFileSync(join(chart, '..', '..', file), 'utf8');
      const sections = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading));
      expect(sections, alert).toContain(section);
    }
    expect(JSON.stringify(alerts)).toContain('{{ $labels.reason }}');
    const readme = readFileSync(join(chart, 'README.md'), 'utf8');
    const listed = [...readme.matchAll(/^\| `(Osmo\w+)` \| (\w+)/gm)].map(([, name, severity]) => [name, severity]);
    expect(alerts.map(({ alert, labels }) => [alert, labels.severity])).toEqual(listed);
  });

  it('alerts on callers only where they are verified, and more loudly where that is required', async () => {
    const severityOf = async (values: object): Promise<string | undefined> =>
      (await alertsOf(values)).find(({ alert }) => alert === 'OsmoAdmissionCallersUnverified')?.labels.severity;
    expect(await severityOf({})).toBeUndefined();
    const clientVerification = { configMapName: 'cas' };
    expect(await severityOf({ clientVerification })).toBe('warning');
    expect(await severityOf({ clientVerification: { ...clientVerification, required: true } })).toBe('critical');
  });

  it('links each alert to its section where it is said where the docs are', async () => {
    const [first] = await alertsOf({ metrics: { prometheusRule: { docsUrl: 'https://docs.example/osmo/' } } });
    expect(first?.annotations.runbook_url).toBe('https://docs.example/osmo/operations.md#health');
  });
});

describe('uninstalling', () => {
  it('is one Job with rights of its own; all of them are hooks, and gone once it succeeds', async () => {
    const hooks = (await rendered({})).filter(isHook);
    expect(hooks.map(({ kind }) => kind).sort()).toEqual([
      ...['ClusterRole', 'ClusterRoleBinding', 'Job', 'Role', 'RoleBinding', 'ServiceAccount'],
    ]);
    for (const hook of hooks) {
      expect(at(hook, 'metadata', 'annotations')).toEqual({
        'helm.sh/hook': 'post-delete',
        'helm.sh/hook-weight': hook.kind === 'Job' ? '0' : '-1',
        'helm.sh/hook-delete-policy': 'before-hook-creation,hook-succeeded',
      });
    }
  });

  it('runs a command that there is, as Pod Security "restricted" asks, on the nodes that the server may run on', async () => {
    const objects = await rendered({});
    const job = one(objects, 'Job', 'osmo-admission-webhook-uninstall');
    // It finds no cluster here, and nothing else wrong with what it is told.
    expect((await runCli(argumentsOf(job))).stderr).toContain('give the cluster');
    // `helm template` prints it beside the installation, and both may be applied.
    expect(argumentsOf(job)).toContain('--unless-installed');
    const pod = at(job, 'spec', 'template', 'spec');
    const server = at(one(objects, 'Deployment'), 'spec', 'template', 'spec');
    for (const key of ['tolerations', 'securityContext', 'nodeSelector']) expect(at(pod, key)).toEqual(at(server, key));
    expect(at(pod, 'containers', 0, 'securityContext')).toEqual(at(server, 'containers', 0, 'securityContext'));
    expect(at(job, 'spec', 'template', 'metadata', 'labels')).not.toMatchObject(
      Object(at(one(objects, 'Service'), 'spec', 'selector')),
    );
  });
});

it('a namespace or a label that reads as a number stays text', async () => {
  const flags = ['--namespace', '123', '--set', 'audit.file.enabled=true', '--set', 'tls.mode=cert-manager'];
  const objects = await rendered({ policy: { workflowPods: { labels: ['456'] } } }, ...flags);
  const namespaces = objects.flatMap((object) => at(object, 'metadata', 'namespace') ?? []);
  expect(namespaces.length).toBeGreaterThan(10);
  expect(new Set(namespaces)).toEqual(new Set(['123', 'default']));
  expect(JSON.stringify(objects)).not.toMatch(/:(123|456)\b/);
  expect(JSON.stringify(objects)).toContain('{"key":"456","operator":"Exists"}');
});

describe('NOTES.txt', () => {
  const notes = async (switched: object): Promise<string> => {
    const sets = leafSets(switched);
    const { stdout } = await runCommand(inject('binaries').helm, [
      ...['install', 'r', chart, '--namespace', 'osmo-admission', '--dry-run=client'],
      ...sets.flatMap((set) => ['--set-json', set]),
    ]);
    return stdout.slice(stdout.indexOf('NOTES:'));
  };
  const leafSets = (tree: object): readonly string[] =>
    Object.entries(tree).map(([key, value]) => `${key}=${JSON.stringify(value)}`);

  it('says what comes next, by preset', async () => {
    expect(await notes({ policy: { preset: 'monitor' } })).toContain('--set policy.preset=enforce');
    const enforce = await notes({});
    expect(enforce).toContain('are refused (failurePolicy Fail)');
    expect(enforce).toContain('--dry-run=server');
  });

  it('says what it waits for, by TLS mode', async () => {
    expect(await notes({})).toContain('writes caBundle');
    expect(await notes({ tls: { mode: 'cert-manager' } })).toContain('kubectl get certificate');
    expect(await notes({ tls: { mode: 'secret', secretName: 'own', caBundle: pem } })).toContain(
      'the Secret own is there',
    );
    expect(await notes({ audit: { file: { enabled: true } } })).toContain('statefulset/osmo-admission-webhook');
  });

  it('says which values a TLS mode does not use', async () => {
    const unused = 'Not used by this mode: ';
    expect(await notes({ tls: { secretName: 'own', caBundle: pem } })).toContain(
      `${unused}tls.secretName and tls.caBundle. Set tls.mode`,
    );
    expect(await notes({ tls: { issuerRef: { name: 'ours' } } })).toContain(`${unused}tls.issuerRef. Set tls.mode`);
    for (const tls of [
      {},
      { mode: 'cert-manager', issuerRef: { name: 'ours' } },
      { mode: 'secret', secretName: 'own', caBundle: pem },
    ])
      expect(await notes({ tls })).not.toContain(unused);
  });
});

describe('webhook-config/', () => {
  it('is a base for kustomize', async () => {
    const folder = join(chart, '..', '..', 'webhook-config');
    const { stdout, code, stderr } = await runCommand(inject('binaries').kubectl, ['kustomize', folder]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const count = (text: string): number => text.match(/^kind: /gm)?.length ?? 0;
    const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
    const written = files.map((name) => readFileSync(join(folder, name), 'utf8'));
    expect(count(stdout)).toBe(count(written.join('')));
  });
});
