import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { eventually } from '../cluster/wait.ts';
import { collectionOf, templateOf, withTemplate } from './support/templates.ts';
import { startWatchedCluster, type WatchedCluster } from './support/watched-cluster.ts';
import {
  author,
  binder,
  podOf,
  podsOf,
  prepareWays,
  unscheduled,
  verdict,
  workflowLabels,
  workflows,
} from './support/ways.ts';

/* What is refused and what goes on while the webhook is away, or cannot ask the API server about a pod. */

let cluster: WatchedCluster;
let plane: ControlPlane;

beforeAll(async () => {
  cluster = await startWatchedCluster(inject('binaries'));
  plane = cluster.plane;
  await prepareWays(plane);
  for (const namespace of [workflows, 'default']) {
    for (const name of ['asked', 'not-asked', 'unjudged']) {
      const metadata = { namespace, labels: namespace === 'default' ? workflowLabels : {} };
      const answer = await plane.api.send('POST', podsOf(namespace), podOf(name, unscheduled, metadata), {
        as: author,
      });
      expect(verdict(answer)).toBe('admitted');
    }
  }
  // The index has both nodes.
  await cluster.untilBindIs('ops-1', 'denied');
  await cluster.untilBindIs('compute-a', 'admitted');
}, 120_000);

afterEach(() => cluster?.proxy.set('clear'));
afterAll(() => cluster?.close(), 60_000);

const bind = async (name: string, to: string, namespace = workflows, byPod = true): Promise<string> => {
  const binding = {
    ...{ apiVersion: 'v1', kind: 'Binding', metadata: { name, namespace } },
    target: { apiVersion: 'v1', kind: 'Node', name: to },
  };
  const path = byPod ? `${podsOf(namespace)}/${name}/binding` : `/api/v1/namespaces/${namespace}/bindings`;
  return verdict(await plane.api.send('POST', path, binding, { as: binder }));
};
const failed = (webhook: string): string => `failed calling webhook "${webhook}.osmo-admission"`;

describe('an API server that does not answer the webhook', () => {
  it('keeps pods that it cannot look up off operator nodes, by both paths, also where failurePolicy is Ignore', async () => {
    cluster.proxy.set('silent');
    // At once: each waits as long as the API server does.
    const places = [workflows, 'default'].flatMap((namespace) => [true, false].map((byPod) => ({ namespace, byPod })));
    const said = await Promise.all(places.map(({ namespace, byPod }) => bind('asked', 'ops-1', namespace, byPod)));
    expect(said).toEqual(places.map(() => 'operator-node-guard/bound'));
    await eventually('the records say why', () => {
      const findings = cluster.webhook.records().flatMap((record) => record.findings);
      return findings.filter(({ message }) => message.includes('could not be looked up')).length >= places.length;
    });
  });

  it('is not asked about a Binding to a compute node', async () => {
    cluster.proxy.set('silent');
    expect(await bind('not-asked', 'compute-a')).toBe('admitted');
    expect(await bind('not-asked', 'compute-a', 'default')).toBe('admitted');
    const said = (): readonly string[] =>
      cluster.webhook
        .records()
        .filter(({ objectRef }) => objectRef.name === 'not-asked' && objectRef.subresource === 'binding')
        .map(({ objectRef, decision }) => `${objectRef.namespace} ${decision}`);
    await eventually('both are recorded', () => said().length >= 2);
    expect(said()).toEqual([`${workflows} allow`, 'default allow']);
  });
});

describe('a webhook that is away', () => {
  beforeAll(() => cluster.webhook.stopServer());
  afterAll(() => cluster.webhook.startServer());

  const send = async (path: string, body: object): Promise<string> =>
    verdict(await plane.api.send('POST', path, body, { as: author }));

  it('keeps workflow pods and their Bindings, by both paths, from being admitted unjudged', async () => {
    expect(await send(podsOf(), podOf('new'))).toContain(failed('pods.mutate'));
    for (const byPod of [true, false]) {
      for (const node of ['ops-1', 'compute-a']) {
        expect(await bind('unjudged', node, workflows, byPod)).toContain(failed('bindings.validate'));
      }
    }
    const labels = { metadata: { labels: workflowLabels } };
    const options = { as: author, contentType: 'application/merge-patch+json' };
    expect(verdict(await plane.api.send('PATCH', `${podsOf()}/unjudged`, labels, options))).toContain(
      failed('pods.validate'),
    );
  });

  it('keeps nothing else: other namespaces, templates, and what is no placement', async () => {
    expect(await send(podsOf('default'), podOf('new', {}, { namespace: 'default', labels: workflowLabels }))).toBe(
      'admitted',
    );
    expect(await bind('unjudged', 'ops-1', 'default')).toBe('admitted');
    const deployment = withTemplate('Deployment', templateOf(), { name: 'x', namespace: workflows });
    expect(await send(collectionOf('Deployment', workflows), deployment)).toBe('admitted');
    const label = { metadata: { labels: { team: 'a' } } };
    const options = { as: author, contentType: 'application/merge-patch+json' };
    expect(verdict(await plane.api.send('PATCH', `${podsOf()}/unjudged`, label, options))).toBe('admitted');
    const { code } = await plane.api.send('DELETE', `${podsOf()}/unjudged`, { gracePeriodSeconds: 0 }, { as: author });
    expect(code).toBe(200);
  });
});
