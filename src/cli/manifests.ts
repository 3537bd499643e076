import { LineCounter, parseAllDocuments } from 'yaml';
import { field, isObject, readList } from '../policy/model/read.ts';

/** One object out of a manifest file, with where it stands. */
export interface ManifestObject {
  /** `pod.yaml, document 2` or `list.yaml, document 1, item 3`. */
  readonly source: string;
  readonly value: unknown;
}

/** A file, or a document in it, that could not be read. */
export interface ManifestProblem {
  readonly source: string;
  readonly message: string;
}

export interface Manifests {
  readonly objects: readonly ManifestObject[];
  readonly problems: readonly ManifestProblem[];
}

const maxAliasCount = 100;

/** Parses a manifest as people write them: multi-document YAML or JSON, and Lists, which are opened. A broken document does not hide the others. */
export function parseManifests(text: string, file: string): Manifests {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  const objects: ManifestObject[] = [];
  const problems: ManifestProblem[] = [];
  const list = 'empty' in documents ? [] : documents;
  list.forEach((document, index) => {
    const source = list.length === 1 ? file : `${file}, document ${index + 1}`;
    const [error] = document.errors;
    if (error !== undefined) {
      const { line, col } = lines.linePos(error.pos[0]);
      problems.push({ source: `${file}:${line}:${col}`, message: `is not valid YAML: ${error.message}` });
      return;
    }
    let value: unknown;
    try {
      value = document.toJS({ maxAliasCount });
    } catch (failure) {
      problems.push({ source, message: failure instanceof Error ? failure.message : String(failure) });
      return;
    }
    // "---" alone, or a document of comments only.
    if (value !== null && value !== undefined) open(value, source, objects, problems);
  });
  if (objects.length === 0 && problems.length === 0) problems.push({ source: file, message: 'holds no object' });
  return { objects, problems };
}

function open(value: unknown, source: string, objects: ManifestObject[], problems: ManifestProblem[]): void {
  if (!isObject(value) || typeof value.kind !== 'string' || typeof value.apiVersion !== 'string') {
    problems.push({ source, message: 'is no Kubernetes object: it has no apiVersion and kind' });
    return;
  }
  const items = field(value, 'items');
  if (!value.kind.endsWith('List') || items === undefined) {
    objects.push({ source, value });
    return;
  }
  // Items of a typed list (PodList, as the API returns it) may leave out what the list says.
  const itemKind = value.kind.slice(0, -'List'.length);
  readList(items, 'items').forEach((item, index) => {
    const typed = itemKind !== '' && isObject(item) ? { apiVersion: value.apiVersion, kind: itemKind, ...item } : item;
    open(typed, `${source}, item ${index + 1}`, objects, problems);
  });
}
