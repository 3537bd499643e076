import type { Binaries } from '../../cluster/binaries.ts';
import { type ControlPlane, kwokAnnotation } from '../../cluster/control-plane.ts';
import { findImage } from '../../cluster/image.ts';
import { namespace, startCluster } from '../../cluster/installation.ts';
import { type NodeAgent, startNodeAgent } from '../../cluster/node-agent/agent.ts';
import { createRelease, type Release } from '../../cluster/release.ts';
import { clusterNodes } from '../../support/fixtures.ts';
import { nameOf } from './pods.ts';

/** A cluster with the fixtures' nodes, all Ready, and what plays the pods of a release that is not installed yet. */
export interface ReleaseCluster {
  readonly plane: ControlPlane;
  readonly agent: NodeAgent;
  readonly release: Release;
  readonly close: () => Promise<void>;
}

export const nodesOfFixtures = (): readonly string[] => clusterNodes().map(nameOf);

/** @throws Error with what went wrong; then nothing of it runs any more. */
export async function startReleaseCluster(binaries: Binaries): Promise<ReleaseCluster> {
  const image = findImage(process.env);
  const plane = await startCluster(binaries);
  try {
    const nodes = clusterNodes().map((node) => ({
      ...{ apiVersion: 'v1', kind: 'Node', ...node },
      metadata: { ...Object(node.metadata), annotations: kwokAnnotation },
    }));
    await plane.apply(['create', '-f', '-'], nodes);
    await plane.apply(['wait', '--for', 'condition=Ready', 'nodes', '--all', '--timeout', '60s']);
    const agent = await startNodeAgent(plane, { namespace, image });
    return {
      ...{ plane, agent, release: createRelease(plane, binaries.helm) },
      async close() {
        try {
          await agent.close();
        } finally {
          await plane.close();
        }
      },
    };
  } catch (error) {
    await plane.close();
    throw error;
  }
}
