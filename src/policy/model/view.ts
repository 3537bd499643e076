import { label } from '../kube/labels.ts';
import type { Taint } from '../kube/taint.ts';
import type { ClassesOf } from './claims.ts';
import type { Node } from './node.ts';
import type { CompiledPolicy, NodeType } from './policy.ts';
import type { NodeSnapshot, SnapshotState } from './snapshot.ts';

/** The live nodes as one policy sees them. Answers are computed when first asked for and kept: a view lives as long as its snapshot and policy do. */
export interface ClusterView {
  readonly state: SnapshotState;
  /** Whether anything is known of live nodes: synced, or stale but once synced. */
  readonly known: boolean;
  readonly nodes: ReadonlyMap<string, Node>;
  /** Operator nodes, by name. */
  operatorNodes(): readonly Node[];
  hasType(type: NodeType): boolean;
  /** The first live node, by name, that is no operator node and passes `test`; undefined where none does. `key` names the question for the cache. */
  findWorkflowNode(key: string, test: (node: Node) => boolean): Node | undefined;
  /** There are live nodes, and each is an operator node. */
  onlyOperatorNodes(): boolean;
  /** The device classes of a claim that a pod refers to. Claims come and go faster than nodes: their answers are those of the moment, and not kept. */
  readonly classesOf: ClassesOf;
}

/** The type of a node by its label; undefined where it is untyped. */
export function typeOf(node: Node, policy: CompiledPolicy): NodeType | undefined {
  const { typeLabel, types } = policy.policy.nodes;
  const value = label(node.labels, typeLabel);
  return value !== undefined && Object.hasOwn(types, value) ? types[value] : undefined;
}

/** An operator node is of type operator, or bears an operator taint. */
export function isOperatorNode(node: Node, policy: CompiledPolicy): boolean {
  return typeOf(node, policy) === 'operator' || operatorTaintOf(node, policy) !== undefined;
}

/** The first operator taint that a node bears, if any. */
export function operatorTaintOf(node: Node, policy: CompiledPolicy): Taint | undefined {
  if (node.taints.length === 0) return undefined;
  return node.taints.find((taint) => isOperatorTaint(taint, policy));
}

/** Every operator taint that a node bears. */
export function operatorTaintsOf(node: Node, policy: CompiledPolicy): readonly Taint[] {
  return node.taints.filter((taint) => isOperatorTaint(taint, policy));
}

function isOperatorTaint(taint: Taint, policy: CompiledPolicy): boolean {
  return policy.operatorTaints.some(
    (pattern) =>
      pattern.key === taint.key &&
      (pattern.value === undefined || pattern.value === (taint.value ?? '')) &&
      pattern.effects.includes(taint.effect),
  );
}

/**
 * A control-plane node, by role label or role taint. Often neither is there at registration: kubeadm labels later. A PreferNoSchedule taint
 * keeps nothing off, so it makes no control plane.
 */
export function isControlPlane(node: Node, policy: CompiledPolicy): boolean {
  const { labels, taints } = policy.policy.nodes.controlPlane;
  return (
    labels.some((key) => label(node.labels, key) !== undefined) ||
    node.taints.some(({ key, effect }) => taints.includes(key) && effect !== 'PreferNoSchedule')
  );
}

export function createView(policy: CompiledPolicy, snapshot: NodeSnapshot, classesOf: ClassesOf): ClusterView {
  const { nodes, state } = snapshot;
  let operators: readonly Node[] | undefined;
  let onlyOperators: boolean | undefined;
  const types = new Map<NodeType, boolean>();
  const found = new Map<string, Node | undefined>();
  const byName = (a: Node, b: Node): number => (a.name < b.name ? -1 : 1);
  return {
    state,
    known: state === 'synced' || state === 'stale',
    nodes,
    classesOf,
    operatorNodes() {
      operators ??= [...nodes.values()].filter((node) => isOperatorNode(node, policy)).sort(byName);
      return operators;
    },
    hasType(type) {
      let answer = types.get(type);
      if (answer === undefined) {
        answer = nodes.values().some((node) => typeOf(node, policy) === type);
        types.set(type, answer);
      }
      return answer;
    },
    findWorkflowNode(key, test) {
      if (!found.has(key)) {
        let first: Node | undefined;
        for (const node of nodes.values()) {
          if ((first === undefined || node.name < first.name) && !isOperatorNode(node, policy) && test(node))
            first = node;
        }
        found.set(key, first);
      }
      return found.get(key);
    },
    onlyOperatorNodes() {
      onlyOperators ??= nodes.size > 0 && nodes.values().every((node) => isOperatorNode(node, policy));
      return onlyOperators;
    },
  };
}
