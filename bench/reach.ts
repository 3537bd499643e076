/*
 * What it costs to name the operator nodes that a pod could reach: 5,000 nodes, 100 of them operator nodes, a pod with 64 required node
 * affinity terms of which the last alone fits. In one process, without the network: the decision as the server makes it, and the same pod
 * without the toleration, which has nothing to name.
 */

import { buildReview } from '../scripts/review-client.ts';
import { createAdmit } from '../src/admission/admit.ts';
import { createFixedNodes } from '../src/cluster/nodes-file.ts';
import { compileDefaults } from '../src/config/parse.ts';
import { unsignedNotes } from '../src/policy/model/notes.ts';
import { readNode } from '../src/policy/model/read-node.ts';
import { readRequest } from '../src/policy/model/read-request.ts';
import { offlinePods } from '../src/policy/model/snapshot.ts';
import { rules } from '../src/policy/rules/index.ts';
import { fixtureNode } from '../test/support/fixtures.ts';
import { apply } from '../test/support/json-patch.ts';

const nodeCount = 5_000;
const operatorCount = 100;
const termCount = 64;
const decisions = 2_000;

const nodes = Array.from({ length: nodeCount }, (_, index) => {
  const name = `node-${String(index).padStart(4, '0')}`;
  return readNode(
    apply(fixtureNode(index < operatorCount ? 'operator-1' : 'compute-1'), [
      { op: 'replace', path: '/metadata/name', value: name },
      { op: 'replace', path: '/metadata/labels/kubernetes.io~1hostname', value: name },
      { op: 'add', path: '/metadata/labels/rack', value: `r${index % 10}` },
    ]),
    'Node',
  );
});
const policy = compileDefaults({ rules });
const admit = createAdmit({
  rules,
  policy: () => policy,
  nodes: createFixedNodes(new Map(nodes.map((node) => [node.name, node]))),
  pods: offlinePods,
  notes: unsignedNotes,
  now: () => 0,
  monotonic: () => 0,
});

const terms = Array.from({ length: termCount }, (_, index) => ({
  matchExpressions: [
    { key: 'node-type', operator: 'NotIn', values: ['operator'] },
    { key: 'osmo-admission/quarantined', operator: 'DoesNotExist' },
    // Only the last is of a rack that there is.
    { key: 'rack', operator: 'In', values: index === termCount - 1 ? ['r1', 'r3'] : [`x${index}`, `y${index}`] },
  ],
}));
const podWith = (tolerations: readonly object[]): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'osmo-workflows' },
  spec: {
    containers: [{ name: 'c', image: 'x' }],
    tolerations,
    affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } } },
  },
});

/** Median time of a decision in microseconds, and the text of the denial. */
async function measure(tolerations: readonly object[]): Promise<{ us: number; said: string }> {
  const request = readRequest(buildReview(podWith(tolerations), 'alice').request);
  const times: number[] = [];
  let said = '';
  for (let round = 0; round < decisions; round++) {
    const startedMs = performance.now();
    const { response } = await admit('validate', request, 1_000);
    times.push((performance.now() - startedMs) * 1_000);
    said = response.status?.message ?? '';
  }
  times.sort((a, b) => a - b);
  return { us: times[Math.floor(times.length / 2)] ?? Number.NaN, said };
}

const denied = await measure([{ operator: 'Exists' }]);
const admitted = await measure([]);
console.log(
  `Node ${process.version}; ${nodeCount} nodes, ${operatorCount} operator nodes, ${termCount} terms; median of ${decisions} decisions.\n`,
);
console.log(`denied, with the reach in its message  ${denied.us.toFixed(0)} us`);
console.log(`admitted, nothing to name              ${admitted.us.toFixed(0)} us`);
console.log(`\n${denied.said}`);
