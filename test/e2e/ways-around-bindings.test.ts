import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { exemptedAnnotation } from '../../src/policy/exempted.ts';
import type { ApiAnswer } from '../cluster/api-client.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { type Installation, install, startCluster } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import { kubeletPolicy } from './support/policy.ts';
import {
  author,
  binder,
  contentTypes,
  nodeOfPod,
  podOf,
  podsOf,
  prepareWays,
  storedPod,
  toOps,
  unscheduled,
  verdict,
  workflowLabels,
  workflows,
} from './support/ways.ts';

/* Bindings, by both of their paths, of a user who may write nothing else; and that the real scheduler's pass. */

let plane: ControlPlane;
let webhook: Installation;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  await prepareWays(plane);
  await create('older', workflows, unscheduled);
  webhook = await install(plane, { policy: kubeletPolicy() });
}, 120_000);

afterAll(() => plane?.close(), 60_000);

async function create(name: string, namespace = workflows, spec: object = {}, labels: object = {}): Promise<void> {
  const pod = podOf(name, spec, { namespace, labels });
  expect(verdict(await plane.api.send('POST', podsOf(namespace), pod, { as: author }))).toBe('admitted');
}

const writesLabels = Number(inject('kubernetes').split('.')[1]) >= 35;

interface Bound {
  readonly pod: string;
  readonly to: string;
  readonly namespace?: string;
  readonly metadata?: object;
}

const paths: Readonly<Record<string, (namespace: string, pod: string) => string>> = {
  'pods/binding': (namespace, pod) => `${podsOf(namespace)}/${pod}/binding`,
  bindings: (namespace) => `/api/v1/namespaces/${namespace}/bindings`,
};

for (const [path, urlOf] of Object.entries(paths)) {
  const bind = async ({ pod, to, namespace = workflows, metadata = {} }: Bound): Promise<string> => {
    const binding = {
      ...{ apiVersion: 'v1', kind: 'Binding', metadata: { name: pod, namespace, ...metadata } },
      target: { apiVersion: 'v1', kind: 'Node', name: to },
    };
    return verdict(await plane.api.send('POST', urlOf(namespace, pod), binding, { as: binder }));
  };

  describe(`a Binding by POST ${path}`, () => {
    /** Names of this path's own pods. */
    const own = (name: string): string => `${name}-${path.replace('/', '-')}`;

    it('in a workflow namespace is denied for an operator node and for a node that does not exist', async () => {
      const pod = own('w');
      await create(pod, workflows, unscheduled);
      expect(await bind({ pod, to: 'ops-1' })).toBe('operator-node-guard/bound');
      expect(await bind({ pod, to: 'nowhere' })).toBe('operator-node-guard/bound');
      expect(await bind({ pod, to: 'compute-a' })).toBe('admitted');
      expect((await storedPod(plane, pod)).spec.nodeName).toBe('compute-a');
    });

    it('of a pod that is older than the installation is denied just so', async () => {
      expect(await bind({ pod: 'older', to: 'ops-1' })).toBe('operator-node-guard/bound');
    });

    it('of a pod that does not exist is denied for an operator node, before the API server says that there is none', async () => {
      for (const namespace of [workflows, 'default']) {
        expect(await bind({ pod: 'none', to: 'ops-1', namespace })).toBe('operator-node-guard/bound');
        expect(await bind({ pod: 'none', to: 'compute-a', namespace })).toContain('pods "none" not found');
      }
    });

    it('outside is denied for a pod with the workflow labels', async () => {
      const pod = own('l');
      await create(pod, 'default', unscheduled, workflowLabels);
      expect(await bind({ pod, to: 'ops-1', namespace: 'default' })).toBe('operator-node-guard/bound');
      expect(await bind({ pod, to: 'nowhere', namespace: 'default' })).toBe('operator-node-guard/bound');
      expect(await bind({ pod, to: 'compute-a', namespace: 'default' })).toBe('admitted');
    });

    it('outside is admitted for any other pod, and for one of an exempt namespace', async () => {
      for (const [pod, namespace, labels] of [
        [own('o'), 'default', {}],
        [own('half'), 'default', { 'osmo.task_uuid': 't' }],
        [own('k'), 'kube-system', {}],
        [own('kl'), 'kube-system', workflowLabels],
      ] as const) {
        await create(pod, namespace, unscheduled, labels);
        expect(await bind({ pod, to: 'ops-1', namespace })).toBe('admitted');
      }
    });

    it('overwrites no label or annotation of OSMO or ours; what else it bears is the pod’s', async () => {
      for (const namespace of [workflows, 'default']) {
        const pod = own('s');
        await create(pod, namespace, unscheduled, { ...workflowLabels, team: 'a' });
        const metadata = {
          labels: { 'osmo.workflow_uuid': 'forged', 'osmo.platform': 'forged', team: 'b' },
          annotations: { [exemptedAnnotation]: 'all', 'osmo.nvidia.com/x': 'forged', note: 'kept' },
        };
        expect(await bind({ pod, to: 'compute-a', namespace, metadata })).toBe('admitted');
        const stored = (await storedPod(plane, pod, namespace)).metadata;
        // Kubernetes 1.30 writes only annotations of a Binding over the pod's.
        expect(stored.labels).toMatchObject({ ...workflowLabels, team: writesLabels ? 'b' : 'a' });
        expect(stored.labels).not.toHaveProperty('osmo.platform');
        expect(stored.annotations).toEqual({ note: 'kept' });
        // An in-tree plugin puts the node's topology there, on the path that the scheduler takes.
        if (path === 'pods/binding' && writesLabels) {
          expect(stored.labels).toMatchObject({ 'topology.kubernetes.io/zone': 'z-1' });
        }
      }
    });

    it('of a pod that was labelled while it waited is judged by what the pod is then', async () => {
      const relabel = (pod: string, labels: object): Promise<ApiAnswer> =>
        plane.api.send(
          'PATCH',
          `${podsOf('default')}/${pod}`,
          { metadata: { labels } },
          {
            as: author,
            ...contentTypes.merge,
          },
        );
      const [into, out] = [own('into'), own('out')];
      await create(into, 'default', unscheduled);
      await create(out, 'default', unscheduled, workflowLabels);
      expect(verdict(await relabel(into, workflowLabels))).toBe('admitted');
      expect(verdict(await relabel(out, { 'osmo.task_uuid': null }))).toBe('admitted');
      for (const pod of [into, out]) {
        await eventually('the relabelling is recorded', () =>
          webhook
            .records()
            .some(
              ({ user, objectRef, findings }) =>
                user.username === author.user &&
                objectRef.name === pod &&
                findings.some(({ reason, enforcement }) => reason === 'relabelled' && enforcement === 'audit'),
            ),
        );
      }
      expect(await bind({ pod: into, to: 'ops-1', namespace: 'default' })).toBe('operator-node-guard/bound');
      expect(await bind({ pod: out, to: 'ops-1', namespace: 'default' })).toBe('admitted');
    });
  });
}

describe('the real scheduler', () => {
  it('binds every pod where it should: no Binding of its own is denied', async () => {
    const operators = { nodeSelector: { 'node-type': 'operator' }, tolerations: [toOps] };
    await create('scheduled');
    await create('scheduled', 'default', {}, workflowLabels);
    await create('scheduled', 'kube-system', operators);
    await create('to-ops', 'default', operators);
    expect(await nodeOfPod(plane, 'scheduled')).toBe('compute-a');
    expect(await nodeOfPod(plane, 'scheduled', 'default')).toBe('compute-a');
    expect(await nodeOfPod(plane, 'scheduled', 'kube-system')).toBe('ops-1');
    expect(await nodeOfPod(plane, 'to-ops', 'default')).toBe('ops-1');
    const denied = webhook
      .records()
      .filter(({ user, decision }) => user.username !== binder.user && decision !== 'allow')
      .filter(({ objectRef }) => objectRef.subresource === 'binding');
    expect(denied).toEqual([]);
  });
});
