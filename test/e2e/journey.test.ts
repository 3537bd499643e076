import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ControlPlane, kwokAnnotation } from '../cluster/control-plane.ts';
import { findImage } from '../cluster/image.ts';
import { namespace, startCluster, webhookName } from '../cluster/installation.ts';
import { type NodeAgent, startNodeAgent } from '../cluster/node-agent/agent.ts';
import { eventually } from '../cluster/wait.ts';
import { commandsOf, patternOf } from '../support/doc-commands.ts';
import { clusterNodes, type KubeObject } from '../support/fixtures.ts';
import { nodeLike } from './support/nodes.ts';
import { createReader, type Read, type Reader } from './support/reader.ts';

/*
 * "Install it" of the README, word for word, as a new user follows it: on the cluster of the docs, one whose nodes bear no labels, one of a single node, and one
 * in which much is wrong already. What the README shows is what the first of them prints.
 */

interface Journey {
  readonly cluster: string;
  readonly nodes: () => readonly KubeObject[];
  readonly pods?: readonly object[];
  /** What `review` says of it; undefined where that is what the README shows. */
  readonly review?: { readonly code: number; readonly says: readonly string[] };
  /** What the denial says of the operator nodes that are there. */
  readonly reach: string;
}

const container = { name: 'task', image: 'ubuntu:22.04' };

/** As they come from an installer that knows nothing of OSMO. */
const unlabelled = (): readonly KubeObject[] =>
  ['node-1', 'node-2', 'node-3'].map((name) =>
    nodeLike('compute-1', name, [{ op: 'remove', path: '/metadata/labels/node-type' }]),
  );

const single = (): readonly KubeObject[] => [
  nodeLike('compute-1', 'all-in-one', [
    { op: 'remove', path: '/metadata/labels/node-type' },
    { op: 'add', path: '/metadata/labels/node-role.kubernetes.io~1control-plane', value: '' },
  ]),
];

const violating = (): readonly KubeObject[] => [
  ...clusterNodes(),
  nodeLike('gpu-1', 'gpu-old', [
    { op: 'replace', path: '/metadata/labels/nvidia.com~1cuda.driver-version.full', value: '535.104.05' },
    { op: 'replace', path: '/metadata/labels/nvidia.com~1cuda.driver-version.major', value: '535' },
    { op: 'replace', path: '/metadata/labels/nvidia.com~1cuda.driver-version.minor', value: '104' },
    { op: 'replace', path: '/metadata/labels/nvidia.com~1cuda.driver-version.revision', value: '05' },
  ]),
  nodeLike('compute-1', 'compute-old', [
    { op: 'replace', path: '/status/nodeInfo/containerRuntimeVersion', value: 'containerd://1.6.28' },
  ]),
];

const strayed = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'strayed', namespace: 'osmo-workflows' },
  spec: { nodeName: 'operator-1', tolerations: [{ operator: 'Exists' }], containers: [container] },
};

const journeys: readonly Journey[] = [
  { cluster: 'with a node or two of each type', nodes: clusterNodes, reach: 'it could reach operator-1, operator-2' },
  {
    cluster: 'without labels',
    nodes: unlabelled,
    review: { code: 0, says: ['3 nodes, 0 of them not conforming; 0 workflow pods without the exclusion'] },
    reach: 'no operator node of today fits the rest of it, but one may register',
  },
  {
    cluster: 'of a single node',
    nodes: single,
    review: { code: 0, says: ['1 node, 0 of them not conforming; 0 workflow pods without the exclusion'] },
    reach: 'no operator node of today fits the rest of it, but one may register',
  },
  {
    cluster: 'with violations',
    nodes: violating,
    pods: [strayed],
    review: {
      code: 1,
      says: [
        'gpu-old',
        '535.104.05',
        'compute-old',
        'containerd://1.6.28',
        'strayed',
        '8 nodes, 2 of them not conforming',
      ],
    },
    reach: 'it could reach operator-1, operator-2',
  },
];

/** The lines of the chart's NOTES.txt that are to be pasted, with the placeholders that they name filled in. */
function commandsOfNotes(notes: string): readonly string[] {
  const lines = [...notes.matchAll(/((?:kubectl|helm|osmo-admission) (?!.*\.$)\S.*)$/gm)].map(([, line = '']) => line);
  return lines.map((line) =>
    line.replace(' CHART ', ' charts/osmo-admission-webhook ').replace(' FILE', ' "$KUBECONFIG"'),
  );
}

const steps = commandsOf('README.md').filter(({ heading }) => heading === 'Install it');

for (const { cluster, nodes, pods = [], review, reach } of journeys) {
  describe(`the README on a cluster ${cluster}`, { timeout: 180_000 }, () => {
    let plane: ControlPlane;
    let agent: NodeAgent;
    let reader: Reader;
    const read = new Map<string, Read>();

    /** Runs the one step that begins so. */
    const follow = async (start: string): Promise<Read> => {
      const found = steps.filter(({ command }) => command.split('\n').some((line) => line.startsWith(start)));
      const [step] = found;
      if (step === undefined || found.length > 1) throw new Error(`${found.length} steps begin with ${start}`);
      const said = await reader.run(step);
      read.set(step.command, said);
      return said;
    };
    const shownOf = (start: string): string => steps.find(({ command }) => command.includes(start))?.shown ?? 'nothing';

    const notesOf = async (): Promise<string> =>
      (await reader.run({ page: '', heading: '', command: `helm get notes ${webhookName} -n ${namespace}` })).printed;

    beforeAll(async () => {
      plane = await startCluster(inject('binaries'));
      agent = await startNodeAgent(plane, { namespace, image: findImage(process.env) });
      reader = createReader(plane, inject('binaries'));
      await plane.apply(
        ['create', '-f', '-'],
        nodes().map((node) => ({
          ...{ apiVersion: 'v1', kind: 'Node', ...node },
          metadata: { ...Object(node.metadata), annotations: kwokAnnotation },
        })),
      );
      if (pods.length > 0) await plane.apply(['create', '-f', '-'], pods);
    }, 120_000);
    afterAll(async () => {
      await agent?.close();
      await plane?.close();
    }, 60_000);

    it('one command installs it, and returns when it serves', async () => {
      const { code, printed } = await follow('helm install');
      expect(printed).toContain('preset monitor');
      expect(code).toBe(0);
      const { stdout } = await plane.apply(['get', 'pods', '-n', namespace, '-o', 'jsonpath={.items[*].status.phase}']);
      expect(stdout).toBe('Running Running');
    });

    it('monitor denies nothing', async () => {
      const { code, printed } = await follow('kubectl apply');
      expect(printed).toBe('pod/tolerates-everything created (server dry run)\n');
      expect(code).toBe(0);
    });

    it('review says what is to be mended', async () => {
      const { code, printed } = await follow('osmo-admission review');
      if (review === undefined) expect(printed).toMatch(patternOf(shownOf('osmo-admission review')));
      for (const text of review?.says ?? []) expect(printed).toContain(text);
      expect(code).toBe(review?.code ?? 0);
    });

    it('after the switch to enforce a pod is denied', async () => {
      const { code, printed } = await follow('helm upgrade');
      expect(printed).toContain('preset enforce');
      expect(code).toBe(0);
      // By pods that end it is judged by the old policy.
      let said: Read = { code: 0, printed: '' };
      await eventually(
        'it is denied',
        async () => {
          said = await follow('kubectl apply');
          return said.printed.includes('denied the request');
        },
        30_000,
      );
      const shown = shownOf('kubectl apply');
      expect(said.printed).toMatch(
        patternOf(review === undefined ? shown : shown.replaceAll(/\([^()]*operator-1[^()]*\)/g, '(…)')),
      );
      expect(said.printed).toContain(reach);
    });

    it('what is to be run in an emergency lets everything pass, and the next upgrade puts it back', async () => {
      expect((await follow('kubectl delete')).code).toBe(0);
      expect((await follow('kubectl apply')).printed).toBe('pod/tolerates-everything created (server dry run)\n');
      expect((await follow('helm upgrade')).code).toBe(0);
      const isDenied = async (): Promise<boolean> =>
        (await follow('kubectl apply')).printed.includes('denied the request');
      await eventually('it is denied again', isDenied, 90_000);
    });

    it('what the chart says to run next can be run', async () => {
      for (const preset of ['enforce', 'monitor']) {
        await eventually('it is called', async () => (await notesOf()).includes(`preset ${preset}`));
        for (const command of commandsOfNotes(await notesOf())) {
          // Without its webhooks nothing more could be seen: the same words are the last of the last notes.
          if (command.startsWith('kubectl delete') && preset === 'enforce') continue;
          // What would be denied is found once something would be.
          if (command.includes('| grep')) {
            let last: readonly Read[] = [];
            await eventually(
              () => `one such record; last ${JSON.stringify(last)}`,
              async () => {
                const applied = await follow('kubectl apply');
                const found = await reader.run({ page: 'NOTES.txt', heading: preset, command });
                last = [applied, found];
                return found.code === 0;
              },
            );
          }
          const said = await reader.run({ page: 'NOTES.txt', heading: preset, command });
          const isProbe = command.startsWith('kubectl run probe');
          // A cluster with violations is one that `review` ends with 1 for.
          const expected = command.startsWith('osmo-admission review') ? (review?.code ?? 0) : 0;
          if (isProbe) expect(said.printed).toContain('denied the request');
          else expect(`${command}: ${said.code} ${said.printed}`).toContain(`${command}: ${expected} `);
        }
      }
    });

    it('uninstall leaves no webhook, and no pod of ours', async () => {
      const { code, printed } = await follow('helm uninstall');
      // helm may also say that it gave up a watch.
      expect(printed).toMatch(/^release "osmo-admission-webhook" uninstalled\n$/m);
      expect(code).toBe(0);
      expect((await follow('kubectl apply')).code).toBe(0);
      await eventually('its pods are gone', async () => {
        const { stdout } = await plane.apply(['get', 'pods', '-n', namespace, '-o', 'name']);
        return stdout === '';
      });
    });

    it('no step of the README was left out', () => {
      expect(steps.map(({ command }) => command).filter((command) => !read.has(command))).toEqual([]);
    });
  });
}
