import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parse, stringify } from 'yaml';
import type { ControlPlane, Said } from '../cluster/control-plane.ts';
import { type Installation, install, startCluster } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import type { KubeObject } from '../support/fixtures.ts';
import { kubeletPolicy } from './support/policy.ts';
import { inPlace, kindOf, templateKinds, templateOf, withTemplate } from './support/templates.ts';
import {
  addNode,
  author,
  isExcluded,
  podsOf,
  prepareWays,
  toOps,
  verdict,
  workflowLabels,
  workflows,
} from './support/ways.ts';

/* Templates of pods: what their author is told when they are applied, and that their pods are judged when a controller makes them. */

let plane: ControlPlane;
let webhook: Installation;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  webhook = await install(plane, { policy: kubeletPolicy() });
  await prepareWays(plane);
}, 120_000);

afterAll(() => plane?.close(), 60_000);

const objectOf = (kind: string, template: KubeObject, namespace = workflows): KubeObject =>
  withTemplate(kind, template, { name: 'tried', namespace });
const bad = { tolerations: [toOps] };

const kubectl = (args: readonly string[], object?: object): Promise<Said> =>
  plane.kubectl([...args, ...(object === undefined ? [] : ['-f', '-']), '--as', author.user], {
    stdin: object === undefined ? '' : stringify(object),
  });
const dryRun = (object: object): Promise<Said> => kubectl(['apply', '--dry-run=server'], object);

async function usePolicy(templates: 'warn' | 'enforce'): Promise<void> {
  const policy = parse(kubeletPolicy());
  policy.rules['operator-node-guard'] = { templates };
  webhook.writePolicy(stringify(policy));
  await eventually(
    'the policy is in force',
    async () => ((await dryRun(objectOf('Job', templateOf(bad)))).code === 1) === (templates === 'enforce'),
  );
}

describe('kubectl apply --dry-run=server', () => {
  for (const kind of Object.keys(templateKinds)) {
    it(`of a ${kind} prints what its pods would meet, and is silent about a good one`, async () => {
      const said = await dryRun(objectOf(kind, templateOf({ ...bad, nodeSelector: { 'node-type': 'operator' } })));
      expect(said.code).toBe(0);
      expect(said.stderr).toContain(
        `Warning: tolerates an operator taint: ${kindOf(kind).place.join('.')}.spec.tolerations[0] (operator-node-guard/tolerates)`,
      );
      expect(said.stderr).toContain('(operator-node-guard/selects)');
      expect(await dryRun(objectOf(kind, templateOf()))).toMatchObject({ code: 0, stderr: '' });
    });
  }

  it('outside a workflow namespace goes by the labels of the template, not of the object', async () => {
    for (const kind of Object.keys(templateKinds)) {
      const labelled = await dryRun(objectOf(kind, templateOf(bad, workflowLabels), 'default'));
      expect(`${kind} ${labelled.stderr}`).toContain('(operator-node-guard/tolerates)');
      const object = objectOf(kind, templateOf(bad), 'default');
      const plain = await dryRun({ ...object, metadata: { ...Object(object.metadata), labels: workflowLabels } });
      expect(`${kind} ${plain.stderr}`).toBe(`${kind} `);
    }
  });
});

describe('under templates: enforce', () => {
  beforeAll(() => usePolicy('enforce'));
  afterAll(() => usePolicy('warn'));

  for (const kind of Object.keys(templateKinds)) {
    it(`a ${kind} is denied, and kubectl exits 1`, async () => {
      for (const [namespace, labels] of [
        [workflows, {}],
        ['default', workflowLabels],
      ] as const) {
        const said = await kubectl(['create'], objectOf(kind, templateOf(bad, labels), namespace));
        expect(said.code).toBe(1);
        expect(verdict(said)).toBe('operator-node-guard/tolerates');
      }
      expect(verdict(await dryRun(objectOf(kind, templateOf())))).toBe('admitted');
    });
  }
});

describe('pods of a template', () => {
  const eventOf = async (kind: string, name: string): Promise<string> => {
    const events = await plane.api.list(`/api/v1/namespaces/${workflows}/events`);
    return events
      .filter(({ reason, involvedObject }) => reason === 'FailedCreate' && Object(involvedObject).kind === kind)
      .filter(({ involvedObject }) => Object(involvedObject).name.startsWith(name))
      .map(({ message }) => String(message))
      .join();
  };
  const podsNamed = async (name: string): Promise<readonly KubeObject[]> =>
    (await plane.api.list(podsOf())).filter(({ metadata }) => Object(metadata).name.startsWith(`${name}-`));
  const patch = (kind: string, name: string, body: object): Promise<Said> =>
    kubectl(['patch', kind, name, '-n', workflows, '--type', 'merge', '-p', JSON.stringify(body)]);

  it('of a suspended Job that is given another placement are judged when it goes on', async () => {
    const job = withTemplate('Job', templateOf(), { name: 'suspended', namespace: workflows });
    expect(await kubectl(['create'], job)).toMatchObject({ code: 0, stderr: '' });
    const moved = await patch('job', 'suspended', inPlace('Job', { spec: bad }));
    expect(moved.code).toBe(0);
    expect(moved.stderr).toContain('(operator-node-guard/tolerates)');
    // The template is as it was: nothing is said again.
    expect(await patch('job', 'suspended', { spec: { suspend: false } })).toMatchObject({ code: 0, stderr: '' });
    await eventually('the Job cannot make its pod', async () =>
      (await eventOf('Job', 'suspended')).includes('(operator-node-guard/tolerates)'),
    );
    expect(await podsNamed('suspended')).toEqual([]);
  });

  const exclusion = {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: 'node-type', operator: 'NotIn', values: ['operator'] }] }],
      },
    },
  };

  it('have the exclusion though an update of the template took it out', async () => {
    const metadata = { name: 'open', namespace: workflows };
    const deployment = withTemplate('Deployment', templateOf({ affinity: exclusion }), metadata, { replicas: 1 });
    expect((await kubectl(['create'], deployment)).code).toBe(0);
    const body = inPlace('Deployment', { metadata: { labels: { step: 'second' } }, spec: { affinity: null } });
    expect(await patch('deployment', 'open', body)).toMatchObject({ code: 0, stderr: '' });
    const second = async (): Promise<readonly KubeObject[]> =>
      (await podsNamed('open')).filter(({ metadata }) => Object(metadata).labels.step === 'second');
    await eventually('its pod is made', async () => (await second()).length > 0);
    expect((await second()).map(isExcluded)).toEqual([true]);
    const worse = inPlace('Deployment', { spec: bad });
    expect((await patch('deployment', 'open', worse)).stderr).toContain('(operator-node-guard/tolerates)');
    await eventually('the ReplicaSet cannot make its pod', async () =>
      (await eventOf('ReplicaSet', 'open')).includes('(operator-node-guard/tolerates)'),
    );
  });

  it('of a DaemonSet are made for each node by name: one without the exclusion is refused on an untainted operator node', async () => {
    await addNode(plane, 'ops-untainted', 'operator');
    const daemonSet = async (name: string, spec: object): Promise<void> => {
      const object = withTemplate('DaemonSet', templateOf(spec, { set: name }), { name, namespace: workflows });
      expect((await kubectl(['create'], object)).code).toBe(0);
      await eventually('its pod runs on the compute node', async () =>
        (await podsNamed(name)).some((pod) => Object(pod.spec).nodeName === 'compute-a'),
      );
    };
    await daemonSet('everywhere', {});
    await eventually('the other cannot be made', async () =>
      (await eventOf('DaemonSet', 'everywhere')).includes('names ops-untainted, which is an operator node'),
    );
    // Its controller reads the template, which no webhook patches.
    await daemonSet('excluding', { affinity: exclusion });
    expect(await eventOf('DaemonSet', 'excluding')).toBe('');
    expect(await podsNamed('excluding')).toHaveLength(1);
  });
});
