import { Document, isMap, isPair, isScalar, isSeq, type Node, visit, type YAMLMap } from 'yaml';
import { isObject } from '../policy/model/read.ts';
import type { BoundRule, JsonSchema } from '../policy/rule.ts';
import { defaultPolicy } from './defaults.ts';
import { policyApiVersion, policyKind, policySchema } from './schema.ts';

/** Text is wrapped so that a terminal of 120 columns shows it whole. */
export const commentWidth = 110;

/**
 * The defaults as a policy file: what is used where a file is silent, each key with its description from the schema as a comment.
 * Made from the values in use, so that it cannot differ from them.
 */
export function printDefaults(rules: readonly BoundRule[]): string {
  const document = new Document({ apiVersion: policyApiVersion, kind: policyKind, ...defaultPolicy(rules) });
  const { contents } = document;
  if (isMap(contents)) {
    annotate(contents, policySchema(rules), 0);
    const [first] = contents.items;
    if (first !== undefined && isPair(first) && isScalar(first.key)) {
      first.key.commentBefore =
        ' The policy file. Maps merge with these defaults, lists replace them; null takes a default away.';
    }
    for (const item of contents.items.slice(2)) if (isScalar(item.key)) item.key.spaceBefore = true;
  }
  // A version is quoted also where YAML would not ask for it: whoever shortens 1.30.0 to 1.30 must not get the number 1.3. So is off, which
  // YAML 1.1 reads as a boolean.
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value === 'string' && /^(\d|off$)/.test(node.value)) node.type = 'QUOTE_DOUBLE';
    },
  });
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

function annotate(map: YAMLMap, schema: JsonSchema, depth: number): void {
  for (const pair of map.items) {
    if (!isScalar(pair.key)) continue;
    const properties = isObject(schema.properties) ? schema.properties : {};
    const property = properties[String(pair.key.value)];
    const description = isObject(property) ? property.description : undefined;
    if (typeof description === 'string') pair.key.commentBefore = wrap(description, commentWidth - 2 * depth);
    const value = pair.value;
    if (isMap(value)) {
      const inner = isObject(property) ? property : {};
      if (fitsOneLine(value, depth) && !describesKeys(inner)) value.flow = true;
      else annotate(value, inner, depth + 1);
    } else if (isSeq(value)) {
      if (value.items.every(isScalar)) value.flow = true;
      else for (const item of value.items) setFlow(item, depth + 2);
    }
  }
}

/** Whether the schema says what the keys of a map mean: then each needs a line for its comment. */
function describesKeys({ properties }: JsonSchema): boolean {
  return (
    isObject(properties) &&
    Object.values(properties).some((property) => isObject(property) && 'description' in property)
  );
}

/** Entries of lists stand in one line each where they fit. */
function setFlow(value: unknown, depth: number): void {
  if (!isMap(value)) return;
  if (fitsOneLine(value, depth)) {
    value.flow = true;
    return;
  }
  for (const { value: inner } of value.items) {
    if (isMap(inner) && fitsOneLine(inner, depth)) inner.flow = true;
    if (isSeq(inner)) {
      if (inner.items.every(isScalar)) inner.flow = true;
      else for (const item of inner.items) setFlow(item, depth + 2);
    }
  }
}

function fitsOneLine(node: Node, depth: number): boolean {
  return JSON.stringify(node).length <= 90 - 2 * depth;
}

/** Lines of a comment, each with the space that follows the number sign. */
export function wrap(text: string, columns: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line.length + word.length + 1 > columns) {
      lines.push(line);
      line = '';
    }
    line += ` ${word}`;
  }
  lines.push(line);
  return lines.join('\n');
}
