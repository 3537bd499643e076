import type { BoundRule } from '../rule.ts';
import { exemptions } from './exemptions.ts';
import { nodeConformance } from './node-conformance.ts';
import { nodeIdentity } from './node-identity.ts';
import { nodeQuarantine } from './node-quarantine.ts';
import { operatorNodeGuard } from './operator-node-guard.ts';
import { placement } from './placement.ts';
import { reservedNodes } from './reserved-nodes.ts';

/** Every rule, in the order in which findings are listed, and in which they mutate: each judges what those before it leave. Schema, defaults, docs and routes are assembled from this list. */
export const rules: readonly BoundRule[] = [
  operatorNodeGuard,
  placement,
  nodeConformance,
  nodeIdentity,
  nodeQuarantine,
  reservedNodes,
  exemptions,
];
