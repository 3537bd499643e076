import { clusterNodes } from '../support/fixtures.ts';
import type { Binaries } from './binaries.ts';
import { type ControlPlane, kwokAnnotation } from './control-plane.ts';
import { findImage } from './image.ts';
import { namespace, startCluster, webhookName } from './installation.ts';
import { type NodeAgent, startNodeAgent } from './node-agent/agent.ts';
import { createRelease, type Release } from './release.ts';

/** A cluster with a node or two of each type, in which the chart's pods run. Nothing is installed yet. */
export interface PlayedCluster {
  readonly plane: ControlPlane;
  readonly agent: NodeAgent;
  readonly release: Release;
  /** Names of the server's pods. */
  replicas(): readonly string[];
  /** Where they answer the API server. */
  endpoints(): readonly { readonly host: string; readonly port: number }[];
  close(): Promise<void>;
}

/** The chart's port for the API server. */
const httpsPort = 8443;

export async function startPlayedCluster(binaries: Binaries): Promise<PlayedCluster> {
  const plane = await startCluster(binaries);
  let agent: NodeAgent;
  try {
    await plane.apply(
      ['create', '-f', '-'],
      clusterNodes().map((node) => ({
        ...{ apiVersion: 'v1', kind: 'Node', ...node },
        metadata: { ...Object(node.metadata), annotations: kwokAnnotation },
      })),
    );
    agent = await startNodeAgent(plane, { namespace, image: findImage(process.env) });
  } catch (error) {
    await plane.close();
    throw error;
  }
  const replicas = (): readonly string[] =>
    agent.pods().filter((pod) => pod.startsWith(`${webhookName}-`) && !pod.startsWith(`${webhookName}-uninstall`));
  return {
    plane,
    agent,
    release: createRelease(plane, binaries.helm),
    replicas,
    endpoints: () => replicas().map((pod) => ({ host: agent.address(pod), port: httpsPort })),
    async close() {
      try {
        await agent.close();
      } finally {
        await plane.close();
      }
    },
  };
}
