import type { Binaries } from '../../cluster/binaries.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { type Installation, install, startCluster } from '../../cluster/installation.ts';
import { startProxy, type TcpProxy } from '../../cluster/proxy.ts';
import { eventually } from '../../cluster/wait.ts';
import { nodeOf } from './nodes.ts';
import { kubeletPolicy } from './policy.ts';

/** A control plane whose webhook reaches the API server only through a proxy, while everybody else goes straight. */
export interface WatchedCluster {
  readonly plane: ControlPlane;
  readonly webhook: Installation;
  readonly proxy: TcpProxy;
  /** Creates a node, of type operator or compute. */
  addNode(name: string, type: 'operator' | 'compute'): Promise<void>;
  setType(name: string, type: 'operator' | 'compute'): Promise<void>;
  /** What the API server says to a workflow pod that is bound to the node: our denial, the failure to call us, or nothing. */
  bind(name: string): Promise<string>;
  /** Milliseconds until a pod that is bound to the node is denied, or admitted. */
  untilBindIs(name: string, answer: 'denied' | 'admitted', timeoutMs?: number): Promise<number>;
  logged(message: string): number;
  close(): Promise<void>;
}

export async function startWatchedCluster(binaries: Binaries): Promise<WatchedCluster> {
  const plane = await startCluster(binaries);
  const proxy = await startProxy(Number(new URL(plane.server).port));
  try {
    const apiServer = `https://127.0.0.1:${proxy.port}`;
    const webhook = await install(plane, { policy: kubeletPolicy(), apiServer });
    return createWatchedCluster(plane, webhook, proxy);
  } catch (error) {
    await proxy.close();
    await plane.close();
    throw error;
  }
}

function createWatchedCluster(plane: ControlPlane, webhook: Installation, proxy: TcpProxy): WatchedCluster {
  const bind = async (name: string): Promise<string> => {
    const { code, body } = await plane.api.send('POST', '/api/v1/namespaces/osmo-workflows/pods?dryRun=All', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p', namespace: 'osmo-workflows' },
      spec: { nodeName: name, containers: [{ name: 'c', image: 'x' }] },
    });
    return code === 201 ? '' : String(body.message);
  };
  return {
    plane,
    webhook,
    proxy,
    async addNode(name, type) {
      const { code, body } = await plane.api.send('POST', '/api/v1/nodes', nodeOf(name, type));
      if (code !== 201) throw new Error(body.message);
    },
    async setType(name, type) {
      const labels = { 'node-type': type };
      const options = { contentType: 'application/merge-patch+json' };
      const { code, body } = await plane.api.send('PATCH', `/api/v1/nodes/${name}`, { metadata: { labels } }, options);
      if (code !== 200) throw new Error(body.message);
    },
    bind,
    async untilBindIs(name, answer, timeoutMs = 60_000) {
      const startedMs = performance.now();
      await eventually(
        `a pod bound to ${name} is ${answer}`,
        async () => {
          const said = await bind(name).catch(() => undefined);
          return answer === 'admitted' ? said === '' : said?.includes('(operator-node-guard/bound)') === true;
        },
        timeoutMs,
      );
      return Math.round(performance.now() - startedMs);
    },
    logged: (message) => webhook.log().filter((line) => line.message === message).length,
    async close() {
      await proxy.close();
      await plane.close();
    },
  };
}
