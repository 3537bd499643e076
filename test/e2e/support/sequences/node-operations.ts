import type { ApiAnswer } from '../../../cluster/api-client.ts';
import type { KubeObject } from '../../../support/fixtures.ts';
import { nodePool, type Operation } from './operations.ts';
import { isRetyped } from './oracle.ts';
import { merge } from './requests.ts';
import { nodeObject, poolNode, type World } from './world.ts';
import type { Writer } from './writer.ts';

export type NodeOperation = Extract<Operation, { do: 'relabel' | 'taint' | 'create-node' | 'delete-node' }>;

/** The nodes of a worker as a sequence finds them, by name. */
export function nodesOf({ nodes }: World, worker: number): Map<string, KubeObject> {
  return new Map(
    [...nodePool.keys()].flatMap((index): readonly [string, KubeObject][] => {
      const name = poolNode(worker, index);
      const node = nodes.of('', name).at(-1)?.object;
      return node === undefined ? [] : [[name, node]];
    }),
  );
}

/** Writes a node, keeps what it is then, and waits until the index has seen it. */
export async function performOnNode(
  world: World,
  { write, violated }: Writer,
  nodes: Map<string, KubeObject>,
  operation: NodeOperation,
): Promise<void> {
  const name = operation.node;
  const path = `/api/v1/nodes/${name}`;
  const keep = async ({ code, body }: ApiAnswer): Promise<void> => {
    if (code >= 300) return;
    nodes.set(name, body);
    await world.untilIndexHas(Number(body.metadata.resourceVersion));
  };
  switch (operation.do) {
    case 'relabel': {
      const { as, type, by } = operation;
      const before = nodes.get(name);
      const body = { metadata: { labels: { 'node-type': type } } };
      const at = by === 'nodes' ? path : `${path}/status`;
      const answer = await write(as, name, 'admit', { method: 'PATCH', path: at, body, ...merge });
      if (as === 'kubelet' && before !== undefined && answer.code === 200 && isRetyped(before, answer.body)) {
        violated('admitted', `the kubelet of ${name} changed its type to ${type}`);
      }
      return keep(answer);
    }
    case 'taint': {
      const body = { spec: { taints: operation.taints } };
      return keep(await write(operation.as, name, 'admit', { method: 'PATCH', path, body, ...merge }));
    }
    case 'create-node': {
      const body = nodeObject(name, operation.type);
      return keep(await write(operation.as, name, 'admit', { method: 'POST', path: '/api/v1/nodes', body }));
    }
    case 'delete-node': {
      const { code } = await write('node-admin', '', 'admit', { method: 'DELETE', path });
      if (code >= 300) return;
      nodes.delete(name);
      await world.untilIndexHas(await world.nodes.untilDeleted('', name));
    }
  }
}
