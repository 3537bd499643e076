import { buildReview } from '../scripts/review-client.ts';
import { fixtureNode, type KubeObject, osmoPods } from '../test/support/fixtures.ts';
import { apply } from '../test/support/json-patch.ts';

/** One kind of review that the benchmark sends. */
export interface Scenario {
  readonly name: string;
  readonly path: '/mutate' | '/validate';
  readonly body: string;
}

const worker = 'system:serviceaccount:osmo-operator:osmo-operator-backend-worker';
const gpu: KubeObject = osmoPods('gang-2-task-gpu8')[0] ?? {};

/** A gpu pod that is patched, a pod that is denied, and a node that registers: an OSMO pod's review is about 8 KB. */
export const scenarios: readonly Scenario[] = [
  { name: 'gpu', path: '/mutate', body: JSON.stringify(buildReview(gpu, worker)) },
  {
    name: 'denied',
    path: '/validate',
    body: JSON.stringify(
      buildReview(apply(gpu, [{ op: 'add', path: '/spec/tolerations/-', value: { operator: 'Exists' } }]), worker),
    ),
  },
  { name: 'node', path: '/validate', body: JSON.stringify(buildReview(fixtureNode('gpu-1'), worker)) },
];

/** A cluster of `count` nodes: of each twenty one is an operator node, two are jetsons, seven have GPUs, the rest compute. */
export function manyNodes(count: number): readonly KubeObject[] {
  const likes = [
    'operator-1',
    'jetson-1',
    'jetson-1',
    ...Array<string>(7).fill('gpu-1'),
    ...Array<string>(10).fill('compute-1'),
  ];
  return Array.from({ length: count }, (_, index) => {
    // The node that the scenario registers exists already, as one of a restarting kubelet does.
    const name = index === 0 ? 'gpu-1' : `node-${index}`;
    const like = index === 0 ? 'gpu-1' : (likes[index % likes.length] ?? 'compute-1');
    const object: unknown = apply(fixtureNode(like), [
      { op: 'replace', path: '/metadata/name', value: name },
      { op: 'replace', path: '/metadata/labels/kubernetes.io~1hostname', value: name },
    ]);
    return { ...Object(object) };
  });
}
