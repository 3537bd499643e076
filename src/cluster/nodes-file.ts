import { readFile } from 'node:fs/promises';
import { LineCounter, parseAllDocuments } from 'yaml';
import type { Node } from '../policy/model/node.ts';
import { field, isObject, readList, ShapeError } from '../policy/model/read.ts';
import { readNode } from '../policy/model/read-node.ts';
import type { NodeSource } from '../policy/model/snapshot.ts';

/** A `--nodes` file that cannot be used; the message names file, document and what is wrong. */
export class NodesFileError extends Error {
  override readonly name = 'NodesFileError';
}

/** Loads live nodes from a file. They are complete by definition: a node that is not in it does not exist. */
export async function loadNodesFile(path: string): Promise<NodeSource> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new NodesFileError(`${path}: cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  return createFixedNodes(parseNodes(text, path));
}

/** A source of nodes that never change and are all there are. */
export function createFixedNodes(nodes: ReadonlyMap<string, Node>): NodeSource {
  const snapshot = { state: 'synced' as const, nodes, resourceVersion: '', confirmedAtMs: undefined };
  return {
    snapshot: () => snapshot,
    lookUp: (name) => {
      const node = nodes.get(name);
      return Promise.resolve(node === undefined ? { state: 'absent' } : { state: 'found', node });
    },
  };
}

const maxAliasCount = 100;

/**
 * Parses a Node, a List or NodeList of them, or several documents of these, as YAML or JSON.
 * @throws NodesFileError for syntax errors (with line), other kinds, wrong shapes and names that occur twice.
 */
export function parseNodes(text: string, fileName: string): ReadonlyMap<string, Node> {
  const json = parseJson(text);
  const nodes = new Map<string, Node>();
  if (json !== undefined) {
    addAll(nodes, json, fileName);
    return nodes;
  }
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  const documents = 'empty' in parsed ? [] : parsed;
  documents.forEach((document, index) => {
    const where = documents.length === 1 ? fileName : `${fileName}, document ${index + 1}`;
    const [error] = document.errors;
    if (error !== undefined) {
      const { line, col } = lines.linePos(error.pos[0]);
      throw new NodesFileError(`${fileName}:${line}:${col}: is not valid YAML: ${error.message}`);
    }
    let value: unknown;
    try {
      value = document.toJS({ maxAliasCount });
    } catch (failure) {
      throw new NodesFileError(`${where}: ${failure instanceof Error ? failure.message : String(failure)}`);
    }
    if (value !== null && value !== undefined) addAll(nodes, value, where);
  });
  return nodes;
}

/** JSON is YAML too, but a large cluster's JSON is read some hundred times faster as what it is. Undefined for what is no JSON: then the YAML parser says why. */
function parseJson(text: string): unknown {
  if (!/^\s*\{/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function addAll(nodes: Map<string, Node>, value: unknown, where: string): void {
  const kind = isObject(value) ? field(value, 'kind') : undefined;
  if (!isObject(value) || typeof kind !== 'string')
    throw new NodesFileError(`${where}: is no Kubernetes object: it has no kind`);
  try {
    if (kind === 'Node') addOne(nodes, value, where);
    else if (kind === 'List' || kind === 'NodeList') {
      readList(field(value, 'items'), 'items').forEach((item, index) => {
        const itemKind = isObject(item) ? field(item, 'kind') : undefined;
        if (itemKind !== undefined && itemKind !== 'Node')
          throw new NodesFileError(`${where}: items[${index}] is a ${String(itemKind)}: only nodes belong here`);
        addOne(nodes, item, where, `items[${index}]`);
      });
    } else throw new NodesFileError(`${where}: is a ${kind}: only Node, NodeList or a List of nodes belong here`);
  } catch (error) {
    if (error instanceof ShapeError) throw new NodesFileError(`${where}: ${error.message}`);
    throw error;
  }
}

function addOne(nodes: Map<string, Node>, value: unknown, where: string, path = 'Node'): void {
  const node = readNode(value, path);
  if (nodes.has(node.name)) throw new NodesFileError(`${where}: ${path}: there are two nodes called ${node.name}`);
  nodes.set(node.name, node);
}
