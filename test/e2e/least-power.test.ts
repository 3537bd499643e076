import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { serverName } from '../../scripts/server-process.ts';
import { createSelfSigned } from '../../src/server/self-signed.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { findImage } from '../cluster/image.ts';
import { namespace, startCluster, webhookName } from '../cluster/installation.ts';
import { type NodeAgent, startNodeAgent } from '../cluster/node-agent/agent.ts';
import { chart, createRelease, type Release, type Values } from '../cluster/release.ts';
import { eventually } from '../cluster/wait.ts';
import { metricOf } from '../support/metrics.ts';
import { driver, marksOf, registerGpuNode, setNodeLabels } from './support/gpu-nodes.ts';
import { kubeletOf, nodeOf } from './support/nodes.ts';
import { boundRights, differences, requestsOf, rightsOfRoles, textOf } from './support/rights.ts';
import { addNode, podOf, podsOf, unscheduled } from './support/ways.ts';

/*
 * The server with the rights of its chart and no others, by its own service account, in a namespace under Pod Security "restricted". The API
 * server's audit log has every request of the account: each must be granted, and each grant must be used. One feature switched off at a time
 * shows which grant is for what: the requests of the others stay, its own go together with its grants.
 */

const server = `system:serviceaccount:${namespace}:${webhookName}`;
const uninstaller = `${server}-uninstall`;
const hasClaims = !inject('kubernetes').startsWith('1.30.');
const merge = { contentType: 'application/merge-patch+json' };

let plane: ControlPlane;
let agent: NodeAgent;
let release: Release;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'), [], { auditedUsers: [server, uninstaller] });
  await plane.apply(
    ['apply', '-f', '-'],
    [
      {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: namespace, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
      },
    ],
  );
  await addNode(plane, 'compute-a', 'compute');
  await addNode(plane, 'ops-1', 'operator', [{ key: 'ops', value: 'true', effect: 'NoSchedule' }]);
  agent = await startNodeAgent(plane, { namespace, image: findImage(process.env) });
  release = createRelease(plane, inject('binaries').helm);
}, 180_000);

afterAll(async () => {
  await agent?.close();
  await plane?.close();
}, 60_000);

/** What is switched on. */
interface On {
  readonly quarantine: boolean;
  readonly guard: boolean;
  readonly deviceClasses: boolean;
  readonly podSearch: boolean;
  readonly selfSigned: boolean;
}

const everything: On = { quarantine: true, guard: true, deviceClasses: true, podSearch: true, selfSigned: true };
const nothing: On = {
  quarantine: false,
  guard: false,
  deviceClasses: false,
  podSearch: false,
  selfSigned: false,
};

const ownTls = createSelfSigned({
  dnsNames: [serverName],
  ipAddresses: [],
  notBefore: new Date(Date.now() - 60_000),
  notAfter: new Date(Date.now() + 3_600_000),
});

const valuesOf = (on: On): Values => ({
  replicaCount: 1,
  // Nobody waits for endpoints here.
  shutdown: { delay: 0 },
  reloadInterval: '1s',
  podSearch: on.podSearch,
  tls: on.selfSigned ? {} : { mode: 'secret', secretName: 'own-tls', caBundle: ownTls.caPem },
  policy: {
    ...(!on.deviceClasses && { profiles: [{ name: 'all', match: {}, tolerations: [] }] }),
    rules: {
      ...(!on.quarantine && { 'node-quarantine': { enforcement: 'off' } }),
      ...(!on.guard && { 'operator-node-guard': { enforcement: 'off' } }),
    },
  },
});

const podName = (): string => agent.pods().findLast((name) => !name.includes('uninstall')) ?? '';
const get = async (path: string): Promise<string> =>
  (await fetch(`http://${agent.address(podName())}:8080${path}`)).text();
const ownPath = (plural: string, name: string): string => `/api/v1/namespaces/${namespace}/${plural}/${name}`;

/** Rights of the installation with everything on. */
let all: readonly string[] = [];

const inNamespace = (text: string): string => `${text} in ${namespace}`;
const rightsOf = {
  quarantine: ['patch nodes'],
  guard: ['get pods'],
  deviceClasses: ['resourceclaims', 'resourceclaimtemplates'].flatMap((resource) => [
    `list ${resource}.resource.k8s.io`,
    `watch ${resource}.resource.k8s.io`,
  ]),
  podSearch: ['list pods'],
  selfSigned: [
    ...['mutating', 'validating'].map(
      (kind) => `patch ${kind}webhookconfigurations.admissionregistration.k8s.io ${webhookName}`,
    ),
    ...['get', 'update'].map((verb) => inNamespace(`${verb} leases.coordination.k8s.io ${webhookName}-certificates`)),
    ...[
      'create secrets',
      ...['ca', 'tls'].flatMap((name) => [
        `get secrets ${webhookName}-${name}`,
        `update secrets ${webhookName}-${name}`,
      ]),
    ].map(inNamespace),
  ],
};

/** What an installation looks like without a feature, and which rights go with it. */
const features: readonly (readonly [string, On, readonly string[]])[] = [
  ['quarantine', { ...everything, quarantine: false }, rightsOf.quarantine],
  // Before a mark is there again that nobody may take away.
  ['all of them', nothing, [...Object.values(rightsOf).flat(), inNamespace('create leases.coordination.k8s.io')]],
  ['the guard of operator nodes', { ...everything, guard: false }, rightsOf.guard],
  ['device classes', { ...everything, deviceClasses: false }, rightsOf.deviceClasses],
  ['the search for pods', { ...everything, podSearch: false }, rightsOf.podSearch],
  ['certificates of its own', { ...everything, selfSigned: false }, rightsOf.selfSigned],
];

const group = 'rbac.authorization.k8s.io';
const admission = 'admissionregistration.k8s.io';
const other = { name: 'another' };
/** What somebody who has taken the server over would ask for next. */
const forbidden: readonly (readonly [string, object])[] = [
  ['read a Secret that is another’s, in its own namespace', { verb: 'get', resource: 'secrets', namespace, ...other }],
  ['list Secrets there', { verb: 'list', resource: 'secrets', namespace }],
  ['read a Secret of workflows', { verb: 'get', resource: 'secrets', namespace: 'osmo-workflows', ...other }],
  ['make a Secret in another namespace', { verb: 'create', resource: 'secrets', namespace: 'kube-system' }],
  ['make pods', { verb: 'create', resource: 'pods', namespace }],
  ['delete pods', { verb: 'delete', resource: 'pods', namespace: 'osmo-workflows' }],
  ['read logs', { verb: 'get', resource: 'pods', subresource: 'log', namespace: 'osmo-workflows' }],
  ['run commands in pods', { verb: 'create', resource: 'pods', subresource: 'exec', namespace: 'osmo-workflows' }],
  ['bind pods', { verb: 'create', resource: 'pods', subresource: 'binding', namespace: 'osmo-workflows' }],
  ['evict pods', { verb: 'create', resource: 'pods', subresource: 'eviction', namespace: 'osmo-workflows' }],
  ['delete nodes', { verb: 'delete', resource: 'nodes' }],
  ['write the status of nodes', { verb: 'patch', resource: 'nodes', subresource: 'status' }],
  ['reach kubelets', { verb: 'get', resource: 'nodes', subresource: 'proxy' }],
  ['change its rights', { verb: 'update', group, resource: 'clusterroles', name: webhookName }],
  ['escalate', { verb: 'escalate', group, resource: 'clusterroles' }],
  ['bind roles', { verb: 'bind', group, resource: 'clusterroles' }],
  ['be somebody else', { verb: 'impersonate', resource: 'users' }],
  ['get tokens of accounts', { verb: 'create', resource: 'serviceaccounts', subresource: 'token', namespace }],
  [
    'change another webhook',
    { verb: 'patch', group: admission, resource: 'validatingwebhookconfigurations', ...other },
  ],
  ['make a webhook', { verb: 'create', group: admission, resource: 'mutatingwebhookconfigurations' }],
  [
    'delete its own webhooks',
    { verb: 'delete', group: admission, resource: 'validatingwebhookconfigurations', name: webhookName },
  ],
  ['change its own policy', { verb: 'update', resource: 'configmaps', namespace, name: `${webhookName}-policy` }],
  [
    'change its own Deployment',
    { verb: 'patch', group: 'apps', resource: 'deployments', namespace, name: webhookName },
  ],
  [
    'take the Lease of a scheduler',
    { verb: 'update', group: 'coordination.k8s.io', resource: 'leases', namespace: 'kube-system', ...other },
  ],
];

let round = 0;

/** Makes every feature that is on do all that it ever does. */
async function exercise(on: On): Promise<void> {
  round += 1;
  await eventually('it has compared the webhook configurations and found no gap', async () =>
    /^\[\+] configuration/m.test(await get('/readyz')),
  );
  // Whether it is new is asked at the API server.
  const old = nodeOf(`old-${round}`, 'compute', 'v1.20.0');
  const registered = async (): Promise<number> =>
    (await plane.api.send('POST', '/api/v1/nodes?dryRun=All', old, { as: kubeletOf(`old-${round}`) })).code;
  await eventually('a node that misses the guide is refused', async () => (await registered()) === 422);
  await reportNode(`compute-${round}`);
  if (on.quarantine) await markNode(`late-${round}`);
  if (on.guard) await bindToOperatorNode(`bound-${round}`);
  if (on.deviceClasses && hasClaims) {
    await eventually('claims are known', async () => (await get('/readyz')).includes('claims: synced'));
  }
  if (on.selfSigned) await breakCertificates();
  expect((await get('/readyz')).split('\n').filter((line) => /403|forbidden/i.test(line))).toEqual([]);
}

/** A kubelet goes back to an old version: no request that anybody judges, so an Event tells of it. */
async function reportNode(name: string): Promise<void> {
  await addNode(plane, name, 'compute');
  await plane.api.send(
    'PATCH',
    `/api/v1/nodes/${name}/status`,
    { status: { nodeInfo: { kubeletVersion: 'v1.20.0' } } },
    merge,
  );
  await eventually('an Event tells of the node', async () => {
    const events = await plane.api.list('/api/v1/namespaces/default/events');
    return events.some((event) => event.reason === 'NodeNonConforming' && Object(event.involvedObject).name === name);
  });
}

/** A driver that turns out too old once the node has registered. */
async function markNode(name: string): Promise<void> {
  await eventually(
    'the replica leads',
    async () => metricOf(await get('/metrics'), 'osmo_admission_quarantine_leading') === 1,
  );
  // The Lease's time has a resolution of a second.
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  expect((await registerGpuNode(plane, name)).code).toBe(201);
  await setNodeLabels(plane, name, { [driver]: '535.104.05' });
  await eventually('the mark', async () => (await marksOf(plane, name)).mark === 'violated');
}

async function bindToOperatorNode(name: string): Promise<void> {
  await plane.api.send('POST', podsOf(), podOf(name, unscheduled));
  const binding = {
    ...{ apiVersion: 'v1', kind: 'Binding', metadata: { name, namespace: 'osmo-workflows' } },
    target: { apiVersion: 'v1', kind: 'Node', name: 'ops-1' },
  };
  const { body } = await plane.api.send('POST', `${podsOf()}/${name}/binding`, binding);
  expect(String(body.message)).toContain('operator-node-guard/bound');
}

/** Both Secrets lose something that the server puts back. */
async function breakCertificates(): Promise<void> {
  const has = async (secret: string, key: string): Promise<boolean> =>
    (await plane.api.send('GET', ownPath('secrets', `${webhookName}-${secret}`))).body.data[key] !== '';
  for (const [secret, key] of [
    ['ca', 'ca.crt'],
    ['tls', 'tls.crt'],
  ] as const) {
    const { code } = await plane.api.send(
      'PATCH',
      ownPath('secrets', `${webhookName}-${secret}`),
      { data: { [key]: '' } },
      merge,
    );
    expect(code).toBe(200);
    await eventually(`${secret} is whole again`, () => has(secret, key));
  }
}

/** Changes the mounted policy file, and nothing of the release. @returns the policy before. */
// biome-ignore lint/suspicious/noExplicitAny: a policy file.
async function editPolicy(change: (policy: any) => object): Promise<object> {
  const path = ownPath('configmaps', `${webhookName}-policy`);
  const before = parse((await plane.api.send('GET', path)).body.data['policy.yaml']);
  const { code } = await plane.api.send('PATCH', path, { data: { 'policy.yaml': stringify(change(before)) } }, merge);
  expect(code).toBe(200);
  return before;
}

/** As a server that was killed with quarantine on leaves it. */
async function leaveLease(): Promise<void> {
  await plane.apply(
    ['apply', '-f', '-'],
    [
      {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name: `${webhookName}-quarantine`, namespace },
        spec: {},
      },
    ],
  );
}

const leaseIsGone = async (): Promise<boolean> =>
  (await plane.api.send('GET', `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${webhookName}-quarantine`))
    .code === 404;

/** Lines of the server's own log, without audit records, that tell of a refusal. */
const refusals = (): readonly string[] =>
  readFileSync(agent.logFile(podName()), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{"time"') && /\b403\b|forbidden/i.test(line));

/** Rights that were granted, and what is wrong with them. */
interface Outcome {
  readonly rights: readonly string[];
  readonly wrong: object;
}

const right = { unused: [], uncovered: [], forbidden: [], refusals: [] };

/** Installs, uses whatever is on, and compares what is granted with what was asked for. */
async function installed(on: On, useMore: () => Promise<void> = async () => undefined): Promise<Outcome> {
  const sinceMs = Date.now();
  if (!on.selfSigned) {
    const stringData = { 'tls.crt': ownTls.certPem, 'tls.key': ownTls.keyPem };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'own-tls', namespace }, stringData };
    await plane.apply(['apply', '-f', '-'], [secret]);
  }
  if (!on.quarantine) await leaveLease();
  // Not by `install`, which waits for a denial of the guard: that it answers is seen by what is on.
  await release.upgrade(valuesOf(on), chart, '--install');
  await exercise(on);
  if (!on.quarantine) await eventually('the Lease that was left behind is gone', leaseIsGone);
  await useMore();
  const granted = await boundRights(plane, server);
  const usable = granted.filter(({ verb, resource }) => hasClaims || verb !== 'watch' || !/claim/.test(resource));
  const wrong = { ...differences(usable, requestsOf(plane, server, sinceMs)), refusals: refusals() };
  return { rights: granted.map(textOf), wrong };
}

/** Takes the release away without its Job, and what the server left. */
async function cleanUp(): Promise<void> {
  const { code, stderr } = await release.helm('uninstall', webhookName, '--no-hooks', '--wait');
  expect(code, stderr).toBe(0);
  // helm waits for the workload, not for its pods; what they ask for at their end is refused, and is none of the next installation's.
  await eventually('the pods have ended', async () => (await plane.api.list(podsOf(namespace))).length === 0);
  await plane.apply(['delete', 'leases,secrets', '--all', '-n', namespace]);
}

/** What `kubectl auth can-i --list` says of an account in the namespace of the installation. */
async function listedFor(user: string): Promise<readonly string[]> {
  const { stdout } = await plane.apply(['auth', 'can-i', '--list', '--as', user, '-n', namespace, '--no-headers']);
  return [...stdout.matchAll(/^(\S+)\s+\[.*?\]\s+\[(.*?)\]\s+\[(.*?)\]$/gm)].flatMap(([, resource, name, verbs = '']) =>
    verbs.split(' ').map((verb) => `${verb} ${resource}${name === '' ? '' : ` ${name}`}`),
  );
}

describe('with every feature on', { timeout: 120_000 }, () => {
  it('nothing is granted that is not used, and nothing is asked for that is not granted', async () => {
    const { rights, wrong } = await installed(everything, async () => {
      // The policy file is reloaded as it is mounted: marks are taken away, and then the Lease.
      const before = await editPolicy((policy) => ({
        ...policy,
        rules: { ...policy.rules, 'node-quarantine': { enforcement: 'audit' } },
      }));
      await eventually('no mark is left, and no Lease', leaseIsGone);
      await editPolicy(() => before);
      await markNode('late-again');
    });
    expect(wrong).toEqual(right);
    all = rights;
  });

  it('is a pod that Pod Security "restricted" lets in, where it keeps others out', async () => {
    const { code, body } = await plane.api.send('POST', `/api/v1/namespaces/${namespace}/pods`, {
      ...podOf('loose'),
      metadata: { name: 'loose', namespace },
    });
    expect(code).toBe(403);
    expect(body.message).toContain('violates PodSecurity "restricted');
  });

  it('runs as the image’s own user where no value names one, who has no capability and cannot write its root', async () => {
    const { body } = await plane.api.send('GET', ownPath('pods', podName()));
    expect(body.spec.securityContext).toEqual({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    const proc = `/proc/${agent.pid(podName())}`;
    const status = readFileSync(`${proc}/status`, 'utf8');
    expect(status).toMatch(/^Uid:(\t65532){4}$/m);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    for (const set of ['CapPrm', 'CapEff', 'CapInh', 'CapAmb'])
      expect(status).toMatch(new RegExp(`^${set}:\\t0+$`, 'm'));
    expect(readFileSync(`${proc}/mountinfo`, 'utf8')).toMatch(/^\d+ \d+ \S+ \S+ \/ ro,/m);
  });

  it('kubectl lists for the account what is granted, and beside that what it lists for every account', async () => {
    const others = await listedFor(`system:serviceaccount:${namespace}:default`);
    const here = all
      .filter((text) => !text.endsWith(' in default'))
      .map((text) => text.replace(` in ${namespace}`, ''));
    expect(new Set(await listedFor(server))).toEqual(new Set([...here, ...others]));
    expect(others.filter((text) => !/ (self|clustertrustbundles)/.test(text))).toEqual([]);
  });

  it.each(forbidden)('it may not %s', async (_, resourceAttributes) => {
    const { body } = await plane.api.send('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user: server, groups: ['system:serviceaccounts', 'system:authenticated'], resourceAttributes },
    });
    expect(body.status.allowed).toBe(false);
  });

  it('uninstalling uses every right that its Job has, and no other', async () => {
    const { stdout } = await release.helm('get', 'hooks', webhookName);
    const hooks = parseAllDocuments(stdout).map((document) => document.toJS());
    const sinceMs = Date.now();
    await release.uninstall();
    const granted = rightsOfRoles(hooks);
    expect(granted.length).toBeGreaterThan(8);
    expect(differences(granted, requestsOf(plane, uninstaller, sinceMs))).toEqual({
      unused: [],
      uncovered: [],
      forbidden: [],
    });
  });
});

describe('with a feature off its rights are gone, those of the others are used, and nobody is refused', {
  timeout: 120_000,
}, () => {
  it.each(features)('%s', async (_, on, lost) => {
    const { rights, wrong } = await installed(on);
    await cleanUp();
    // Used where quarantine is switched off: above, and where it is off here.
    const unused = on.quarantine ? [inNamespace(`delete leases.coordination.k8s.io ${webhookName}-quarantine`)] : [];
    expect(wrong).toEqual({ ...right, unused });
    expect(all.filter((each) => !rights.includes(each)).sort()).toEqual([...lost].sort());
    expect(rights.filter((each) => !all.includes(each))).toEqual([]);
  });
});
