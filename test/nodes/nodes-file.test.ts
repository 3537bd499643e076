import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadNodesFile, parseNodes } from '../../src/cluster/nodes-file.ts';

const names = (text: string): string[] => [...parseNodes(text, 'nodes.yaml').keys()];

describe('a --nodes file', () => {
  it('is a Node, several documents, a List, a NodeList, YAML or JSON', () => {
    expect(names('apiVersion: v1\nkind: Node\nmetadata: {name: a}\n')).toEqual(['a']);
    expect(names('kind: Node\nmetadata: {name: a}\n---\n---\nkind: Node\nmetadata: {name: b}\n')).toEqual(['a', 'b']);
    expect(names('kind: List\nitems:\n- kind: Node\n  metadata: {name: a}\n')).toEqual(['a']);
    expect(names('{"kind":"NodeList","items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]}')).toEqual([
      'a',
      'b',
    ]);
    expect(names('')).toEqual([]);
  });

  const bad: readonly (readonly [string, string, string])[] = [
    ['no YAML', 'a: [', 'nodes.yaml:1:'],
    ['another kind', 'kind: Pod\nmetadata: {name: a}\n', 'nodes.yaml: is a Pod: only Node'],
    ['another kind in a list', 'kind: List\nitems:\n- kind: Pod\n', 'items[0] is a Pod'],
    ['no object', '- a\n', 'is no Kubernetes object'],
    ['no name', 'kind: Node\nmetadata: {}\n', 'Node.metadata.name: is missing'],
    [
      'a wrong type',
      'kind: Node\nmetadata: {name: a}\nspec: {taints: {}}\n',
      'Node.spec.taints: must be a list, not an object',
    ],
    [
      'a label that is no string',
      'kind: Node\nmetadata: {name: a, labels: {x: true}}\n',
      'Node.metadata.labels[x]: must be a string, not a boolean',
    ],
    [
      'the same name twice',
      'kind: Node\nmetadata: {name: a}\n---\nkind: Node\nmetadata: {name: a}\n',
      'document 2: Node: there are two nodes called a',
    ],
  ];
  for (const [name, text, message] of bad)
    it(`refuses ${name}`, () => expect(() => parseNodes(text, 'nodes.yaml')).toThrow(message));

  it('is complete: a node that is not in it is absent', async () => {
    const source = await loadNodesFile(join(import.meta.dirname, '..', 'fixtures', 'nodes', 'cluster.yaml'));
    expect(source.snapshot()).toMatchObject({ state: 'synced', confirmedAtMs: undefined });
    const signal = AbortSignal.timeout(1_000);
    expect(await source.lookUp('ghost', signal)).toEqual({ state: 'absent' });
    expect(await source.lookUp('gpu-1', signal)).toMatchObject({ state: 'found' });
  });

  it('that is not there says so', () =>
    expect(loadNodesFile('/nowhere/nodes.yaml')).rejects.toThrow('/nowhere/nodes.yaml: cannot be read'));
});
