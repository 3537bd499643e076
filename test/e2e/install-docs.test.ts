import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ControlPlane, kwokAnnotation } from '../cluster/control-plane.ts';
import { findImage } from '../cluster/image.ts';
import { namespace, startCluster } from '../cluster/installation.ts';
import { type NodeAgent, startNodeAgent } from '../cluster/node-agent/agent.ts';
import { eventually } from '../cluster/wait.ts';
import { commandsOf, type DocCommand } from '../support/doc-commands.ts';
import { clusterNodes } from '../support/fixtures.ts';
import { createReader, type Reader } from './support/reader.ts';

/* The commands of the pages on installing, upgrading and draining, in their order; what the README tells to run is journey.test.ts's. */

let plane: ControlPlane;
let agent: NodeAgent;
let reader: Reader;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  agent = await startNodeAgent(plane, { namespace, image: findImage(process.env) });
  reader = createReader(plane, inject('binaries'));
  reader.set('TMPDIR', plane.folder);
  reader.set('NODE', 'operator-1');
  await plane.apply(
    ['create', '-f', '-'],
    clusterNodes().map((node) => ({
      ...{ apiVersion: 'v1', kind: 'Node', ...node },
      metadata: { ...Object(node.metadata), annotations: kwokAnnotation },
    })),
  );
}, 120_000);

afterAll(async () => {
  await agent?.close();
  await plane?.close();
}, 60_000);

const last = 'Uninstalling';
const install = commandsOf('docs/install.md');
const steps: readonly DocCommand[] = [
  ...install.filter(({ heading }) => heading !== last),
  ...commandsOf('docs/upgrade.md'),
  ...commandsOf('docs/high-availability.md'),
  ...install.filter(({ heading }) => heading === last),
];

/** What must stand in what a command printed, by how it begins; of some that is all that can be said. */
const printed: readonly (readonly [begins: string, text: string])[] = [
  ['cat >', 'preset monitor'],
  ['kubectl logs', '"enforcement":"audit"'],
  ['osmo-admission review', '6 nodes, 0 of them not conforming'],
  ['kubectl kustomize', 'kind: ValidatingWebhookConfiguration'],
  ['helm upgrade', 'has been upgraded'],
  ['helm history', 'Rollback was a success'],
  ['helm template', 'policy.yaml: good'],
  ['kubectl drain', 'node/operator-1 drained (server dry run)'],
  ['helm uninstall', 'uninstalled'],
];

describe('docs/install.md, docs/upgrade.md and docs/high-availability.md', { timeout: 120_000 }, () => {
  for (const step of steps) {
    it(`${step.page}, ${step.heading}: ${step.command.split('\n')[0]}`, async () => {
      // Something for the log to show.
      await reader.run({ ...step, command: 'kubectl apply --dry-run=server -f examples/tolerates-everything.yaml' });
      const said = await reader.run(step);
      expect(`${said.code} ${said.code === 0 ? '' : said.printed}`).toBe('0 ');
      const text = printed.find(([begins]) => step.command.startsWith(begins))?.[1];
      if (text !== undefined) expect(said.printed).toContain(text);
      expect(said.printed).not.toMatch(/command not found|unknown (flag|command|shorthand)|syntax error/);
    });
  }

  it('leave nothing of it', async () => {
    const kinds = 'all,leases,secrets,validatingwebhookconfigurations,mutatingwebhookconfigurations';
    let left = '';
    // Pods end after what made them is gone.
    await eventually(
      () => `nothing is left of it, but ${left}`,
      async () => {
        left = (await plane.apply(['get', kinds, '-n', namespace, '-o', 'name'])).stdout;
        return left === '';
      },
    );
  });
});
