import { type Document, isMap, isNode, isPair, isScalar, LineCounter, type ParsedNode, parseAllDocuments } from 'yaml';

export type Path = readonly (string | number)[];

/** One thing wrong with a policy file, with the place where a person finds it. */
export interface Problem {
  readonly line: number;
  readonly column: number;
  /** Path inside the file, `profiles[1].name`; empty for the document itself. */
  readonly path: string;
  readonly message: string;
}

/** A policy file's text, parsed, that can tell where a path stands. */
export interface Source {
  readonly value: unknown;
  /** Position of a path's value, or of the nearest parent that the file has. */
  locate(path: Path): { readonly line: number; readonly column: number };
  /** Position of a key, for keys that should not be there. */
  locateKey(path: Path, key: string): { readonly line: number; readonly column: number };
  /** Whether the file itself has this path, rather than the defaults. */
  has(path: Path): boolean;
}

/** `profiles[1].tolerations[0]`; keys that hold a dot or bracket are quoted. */
export function formatPath(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[\w-]+$/.test(part)) text += text === '' ? part : `.${part}`;
    else text += `[${JSON.stringify(part.slice(0, 64))}]`;
  }
  return text;
}

/** Bounds the expansion of aliases ("billion laughs"); a policy needs few. */
const maxAliasCount = 100;

/** Parses YAML (or JSON, which is YAML). Syntax errors, duplicate keys, several documents: problems with line and column. */
export function parseSource(text: string): { readonly source: Source } | { readonly problems: readonly Problem[] } {
  const lines = new LineCounter();
  const documents = parseAllDocuments<ParsedNode>(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  const at = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  if ('empty' in documents) {
    return {
      problems: [
        {
          line: 1,
          column: 1,
          path: '',
          message: 'is empty: start from the output of "osmo-admission policy defaults"',
        },
      ],
    };
  }
  const [document, second] = documents;
  const errors = documents.flatMap((entry) => entry.errors);
  if (errors.length > 0) {
    return {
      problems: errors.map((error) => ({
        ...at(error.pos[0]),
        path: '',
        message: `is not valid YAML: ${error.message}`,
      })),
    };
  }
  if (document === undefined || second !== undefined) {
    return {
      problems: [{ ...at(second?.range[0] ?? 0), path: '', message: 'holds several documents: a policy is one' }],
    };
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount });
  } catch (error) {
    return {
      problems: [{ line: 1, column: 1, path: '', message: error instanceof Error ? error.message : String(error) }],
    };
  }
  return { source: createSource(document, value, at) };
}

function createSource(
  document: Document.Parsed,
  value: unknown,
  at: (offset: number) => { line: number; column: number },
): Source {
  const nodeAt = (path: Path): unknown => document.getIn(path, true);
  return {
    value,
    has: (path) => document.hasIn(path),
    locate(path) {
      for (let length = path.length; length >= 0; length--) {
        const node = length === 0 ? document.contents : nodeAt(path.slice(0, length));
        if (isNode(node) && node.range) return at(node.range[0]);
      }
      return at(0);
    },
    locateKey(path, key) {
      const parent = path.length === 0 ? document.contents : nodeAt(path);
      if (isMap(parent)) {
        const pair = parent.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === key);
        if (pair !== undefined && isScalar(pair.key) && pair.key.range) return at(pair.key.range[0]);
      }
      return this.locate(path);
    },
  };
}
