import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { exemptedAnnotation } from '../../src/policy/exempted.ts';
import { type ControlPlane, runCommand } from '../cluster/control-plane.ts';
import { type Installation, install, root, startCluster, webhookName } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import type { KubeObject } from '../support/fixtures.ts';
import { metricOf } from '../support/metrics.ts';
import { kubeletOf } from './support/nodes.ts';
import { kubeletPolicy } from './support/policy.ts';
import {
  author,
  binder,
  contentTypes,
  gate,
  isExcluded,
  nodeOfPod,
  podOf,
  podsOf,
  prepareWays,
  storedPod,
  toOps,
  type User,
  unscheduled,
  verdict,
  workflows,
} from './support/ways.ts';

/* Exemptions of who makes a pod, from its creation to its binding by the real scheduler, and whoever forges one. */

const debugging: User = { user: 'debugging', groups: ['system:authenticated'] };
const former: User = { user: 'former', groups: ['system:authenticated'] };

const policy = stringify({
  ...parse(kubeletPolicy()),
  exemptions: [
    { reason: 'cluster components', namespaces: ['kube-system'] },
    { reason: 'debugging operator nodes', users: [debugging.user] },
    { reason: 'ended', users: [former.user], until: '2020-01-31' },
    {
      reason: 'node agent',
      namespaces: [workflows],
      // Pods of a DaemonSet are made by its controller, whatever service account they run as.
      serviceAccounts: ['kube-system/daemon-set-controller'],
      podSelector: { app: 'agent' },
    },
    // What one would write first: it names what the pods run as, which makes no pod.
    { reason: 'never used', namespaces: [workflows], serviceAccounts: [`${workflows}/agent`] },
  ],
});

const minor = Number(inject('kubernetes').split('.')[1]);
const onOps = { nodeSelector: { 'node-type': 'operator' }, tolerations: [toOps] };
const forgedBy = { annotations: { [exemptedAnnotation]: 'all' } };

let plane: ControlPlane;
let webhook: Installation;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  await prepareWays(plane, [debugging.user, former.user]);
  await plane.api.send('POST', podsOf(), podOf('older-forged', { ...onOps, ...gate }, forgedBy), { as: author });
  webhook = await install(plane, { policy });
  await settled();
}, 120_000);

afterAll(() => plane?.close(), 60_000);

/** The annotation counts on pods that were made 5 s after the configurations, or later; times of objects have a resolution of a second. */
async function settled(): Promise<void> {
  const { stdout } = await plane.apply([
    ...['get', `mutatingwebhookconfiguration/${webhookName}`, `validatingwebhookconfiguration/${webhookName}`],
    ...['-o', 'jsonpath={.items[*].metadata.creationTimestamp}'],
  ]);
  const latest = Math.max(...stdout.split(' ').map((time) => Date.parse(time)));
  await eventually('pods are young enough', () => Date.now() >= latest + 6_000);
}

const create = async (name: string, as: User, spec: object = {}, metadata: object = {}): Promise<string> =>
  verdict(await plane.api.send('POST', podsOf(), podOf(name, spec, metadata), { as }));
const annotate = async (name: string, value: string | null, as: User, subresource = ''): Promise<string> =>
  verdict(
    await plane.api.send(
      'PATCH',
      `${podsOf()}/${name}${subresource}`,
      { metadata: { annotations: { [exemptedAnnotation]: value } } },
      { as, ...contentTypes.merge },
    ),
  );
const noteOf = async (name: string): Promise<unknown> =>
  (await storedPod(plane, name)).metadata.annotations?.[exemptedAnnotation];
/** Reasons of the exemptions that counted for a pod, by what was asked. */
const reasonsOf = (name: string): readonly string[] =>
  webhook
    .records()
    .filter(({ objectRef }) => objectRef.name === name)
    .flatMap(({ phase, objectRef, exemptions }) =>
      exemptions.map(({ reason }) => `${phase} ${objectRef.subresource || 'pods'}: ${reason}`),
    );

describe('a user who is exempt by name', () => {
  it('makes a pod that tolerates the operator taint, and the scheduler binds it to an operator node', async () => {
    const before = metricOf(await webhook.metrics(), 'osmo_admission_exempted_total') || 0;
    expect(await create('debug', debugging, onOps)).toBe('admitted');
    expect(await nodeOfPod(plane, 'debug')).toBe('ops-1');
    const stored = await storedPod(plane, 'debug');
    expect(stored.metadata.annotations[exemptedAnnotation]).toMatch(/^all\.[0-9a-f]{32}$/);
    expect(stored.spec.affinity).toBeUndefined();
    const note = `exempt when it was created (annotation ${exemptedAnnotation}: all)`;
    await eventually('three records', () => reasonsOf('debug').length >= 3);
    expect(reasonsOf('debug')).toEqual([
      'mutate pods: debugging operator nodes',
      'validate pods: debugging operator nodes',
      `validate binding: ${note}`,
    ]);
    expect(metricOf(await webhook.metrics(), 'osmo_admission_exempted_total')).toBeGreaterThanOrEqual(before + 3);
  });

  it('makes one that others may take out of its gate and tolerate more, and nobody else’s pod is bound there', async () => {
    expect(await create('debug-gated', debugging, { ...onOps, ...gate })).toBe('admitted');
    const { body } = await plane.api.send('GET', `${podsOf()}/debug-gated`);
    const ungated = {
      spec: {
        schedulingGates: null,
        tolerations: [...body.spec.tolerations, { key: 'node-type', operator: 'Exists' }],
      },
    };
    const said = await plane.api.send('PATCH', `${podsOf()}/debug-gated`, ungated, {
      as: author,
      ...contentTypes.merge,
    });
    expect(verdict(said)).toBe('admitted');
    expect(await nodeOfPod(plane, 'debug-gated')).toBe('ops-1');
    expect(await create('plain', author, onOps)).toContain('operator-node-guard/tolerates');
  });

  it('whose exemption has ended is judged, and policy check says so', async () => {
    expect(await create('ended', former, onOps)).toContain('operator-node-guard/tolerates');
    const args = ['policy', 'check', '-', '--kubeconfig', plane.kubeconfig()];
    const { stdout, stderr } = await runCommand(join(root, 'bin', 'osmo-admission'), args, policy);
    expect(stdout + stderr).toContain('ended on 2020-01-31: it exempts nobody any more; remove it');
  });
});

describe('the note of an exemption', () => {
  const binding = (pod: string, metadata: object = {}): object => ({
    ...{ apiVersion: 'v1', kind: 'Binding', metadata: { name: pod, namespace: workflows, ...metadata } },
    target: { apiVersion: 'v1', kind: 'Node', name: 'ops-1' },
  });
  const bind = async (pod: string, metadata: object = {}): Promise<string> =>
    verdict(await plane.api.send('POST', `${podsOf()}/${pod}/binding`, binding(pod, metadata), { as: binder }));

  it('that its author writes at creation is taken away', async () => {
    expect(await create('forged', author, unscheduled, forgedBy)).toBe('admitted');
    expect(await noteOf('forged')).toBeUndefined();
    expect(isExcluded(await storedPod(plane, 'forged'))).toBe(true);
    expect(await create('forged-2', author, onOps, forgedBy)).toContain('operator-node-guard/tolerates');
  });

  it('that is written later is denied, and so is taking it away from a pod that has it', async () => {
    expect(await annotate('forged', 'all', author)).toBe('exemptions/forged');
    expect(await annotate('forged', 'all', author, '/status')).toBe('exemptions/forged');
    expect(await annotate('debug', null, author)).toBe('exemptions/forged');
    expect(await annotate('debug', 'placement', author)).toBe('exemptions/forged');
  });

  it('that the kubelet of the pod writes through its status is denied; its other annotations pass', async () => {
    expect(await create('run', author)).toBe('admitted');
    expect(await nodeOfPod(plane, 'run')).toBe('compute-a');
    expect(await annotate('run', 'all', kubeletOf('compute-a'), '/status')).toBe('exemptions/forged');
    const other = { metadata: { annotations: { note: 'x' } } };
    const said = await plane.api.send('PATCH', `${podsOf()}/run/status`, other, {
      as: kubeletOf('compute-a'),
      ...contentTypes.merge,
    });
    expect(verdict(said)).toBe('admitted');
  });

  it('that is written with ephemeral containers or a new size is not stored', async () => {
    const debug = { ephemeralContainers: [{ name: 'debug', image: 'x' }] };
    const writes: readonly (readonly [subresource: string, spec: object])[] = [
      ['ephemeralcontainers', debug],
      ...(minor >= 33 ? ([['resize', {}]] as const) : []),
    ];
    for (const [subresource, spec] of writes) {
      const said = await plane.api.send(
        'PATCH',
        `${podsOf()}/forged/${subresource}`,
        { metadata: forgedBy, spec },
        { as: author, ...contentTypes.strategic },
      );
      expect(verdict(said)).toBe('admitted');
    }
    expect(await noteOf('forged')).toBeUndefined();
  });

  it('that a Binding bears does not count for it, nor afterwards', async () => {
    expect(await bind('forged', forgedBy)).toBe('operator-node-guard/bound');
    expect(await noteOf('forged')).toBeUndefined();
  });

  it('of a pod that is older than the installation counts for nothing', async () => {
    expect(await noteOf('older-forged')).toBe('all');
    const ungate = { spec: { schedulingGates: null } };
    const said = await plane.api.send('PATCH', `${podsOf()}/older-forged`, ungate, {
      as: author,
      ...contentTypes.merge,
    });
    expect(verdict(said)).toContain('operator-node-guard/tolerates');
    expect(await bind('older-forged')).toBe('operator-node-guard/bound');
  });
});

describe('a DaemonSet in a workflow namespace', () => {
  const daemonSet = (name: string, app: string): object => ({
    ...{ apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: { name, namespace: workflows } },
    spec: {
      selector: { matchLabels: { app } },
      template: {
        metadata: { labels: { app } },
        spec: { serviceAccountName: 'agent', ...onOps, containers: [{ name: 'c', image: 'x' }] },
      },
    },
  });
  const podsOfApp = async (app: string): Promise<readonly KubeObject[]> =>
    plane.api.list(`${podsOf()}?labelSelector=app%3D${app}`);

  it('is exempt by the account of its controller, which makes its pods: they land on operator nodes', async () => {
    await plane.apply(
      ['create', '-f', '-'],
      [
        { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'agent', namespace: workflows } },
        daemonSet('agent', 'agent'),
      ],
    );
    await eventually('its pod is bound', async () =>
      (await podsOfApp('agent')).some(({ spec }) => Object(spec).nodeName === 'ops-1'),
    );
    const makers = webhook
      .records()
      .filter(({ exemptions }) => exemptions.some(({ reason }) => reason === 'node agent'))
      .map(({ user }) => user.username);
    expect([...new Set(makers)]).toEqual(['system:serviceaccount:kube-system:daemon-set-controller']);
  });

  it('without the label of that exemption is not, whatever service account its pods run as', async () => {
    await plane.apply(['create', '-f', '-'], [daemonSet('other', 'other')]);
    await eventually('its pod cannot be made', async () => {
      const events = await plane.api.list(`/api/v1/namespaces/${workflows}/events`);
      return events.some(
        ({ involvedObject, message }) =>
          Object(involvedObject).name === 'other' && String(message).includes('(operator-node-guard/tolerates)'),
      );
    });
    expect(await podsOfApp('other')).toEqual([]);
  });
});
