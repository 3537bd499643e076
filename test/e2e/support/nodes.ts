import type { SendOptions } from '../../cluster/api-client.ts';
import { fixtureNode, type KubeObject } from '../../support/fixtures.ts';
import { apply, type Operation } from '../../support/json-patch.ts';

/** A node of the fixture cluster under another name, with what is different about it. */
export function nodeLike(like: string, name: string, changes: readonly Operation[] = []): KubeObject {
  return apply(fixtureNode(like), [
    { op: 'replace', path: '/metadata/name', value: name },
    { op: 'replace', path: '/metadata/labels/kubernetes.io~1hostname', value: name },
    ...changes,
  ]) as KubeObject;
}

/** A node that meets the guide, but for an older kubelet if one is given. */
export function nodeOf(name: string, type: 'operator' | 'compute', kubelet = 'v1.32.4'): KubeObject {
  return nodeLike('compute-1', name, [
    { op: 'replace', path: '/metadata/labels/node-type', value: type },
    { op: 'replace', path: '/status/nodeInfo/kubeletVersion', value: kubelet },
  ]);
}

/** The user that the kubelet of a node is. */
export function kubeletOf(name: string): NonNullable<SendOptions['as']> {
  return { user: `system:node:${name}`, groups: ['system:nodes', 'system:authenticated'] };
}
