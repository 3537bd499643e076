/*
 * What is typed into the filter: words, and `field:value` with `*` for anything. A value in quotes is itself, star and all. `-` before
 * either means not.
 */

export interface Term {
  /** Empty for a word that may stand anywhere. */
  readonly field: string;
  readonly value: string;
  readonly quoted: boolean;
  readonly negated: boolean;
}

export const fields = [
  ...['decision', 'user', 'rule', 'reason', 'enforcement', 'verb', 'resource', 'namespace', 'name', 'phase'],
  ...['exemption', 'policy', 'replica', 'kind', 'file', 'line', 'dryrun', 'since', 'until'],
] as const;

/** Reads a filter. Whatever is typed means something: what begins like no field is a word. */
export function parseQuery(text: string): readonly Term[] {
  const terms: Term[] = [];
  const pattern = /(-?)(?:([a-z]+):)?(?:"((?:[^"\\]|\\.)*)"?|(\S+))/gi;
  for (const [, minus = '', name = '', quoted, plain = ''] of text.matchAll(pattern)) {
    const field = name.toLowerCase();
    const isField = (fields as readonly string[]).includes(field);
    const value = quoted === undefined ? plain : quoted.replace(/\\(.)/g, '$1');
    const shown = isField || name === '' ? value : `${name}:${value}`;
    if (shown === '' && !isField) continue;
    terms.push({ field: isField ? field : '', value: shown, quoted: quoted !== undefined, negated: minus !== '' });
  }
  return terms;
}

/** Fields whose values are words of the product: no two differ by case alone. */
const ownWords = ['decision', 'kind', 'phase', 'enforcement', 'verb', 'dryrun', 'line', 'since', 'until'];

/** A term as it is typed, for just this value. */
export function termText(field: string, value: string): string {
  const isPlain = ownWords.includes(field) && /^[^\s"*\\]+$/.test(value);
  return `${field}:${isPlain ? value : `"${value.replace(/["\\]/g, '\\$&')}"`}`;
}

/** Whether a value is what a term asks for. Case counts in quotes alone: `alice` and `Alice` are two users of Kubernetes. */
export function matcherOf({
  field,
  value,
  quoted,
}: Pick<Term, 'field' | 'value' | 'quoted'>): (text: string) => boolean {
  const wanted = value.toLowerCase();
  if (field === '') return (text) => text.toLowerCase().includes(wanted);
  if (quoted) return (text) => text === value;
  if (!wanted.includes('*')) return (text) => text.toLowerCase() === wanted;
  const parts = wanted.split('*');
  const [first = '', last = ''] = [parts[0], parts.at(-1)];
  return (text) => {
    const low = text.toLowerCase();
    if (low.length < first.length + last.length || !low.startsWith(first) || !low.endsWith(last)) return false;
    let at = first.length;
    for (const part of parts.slice(1, -1)) {
      const found = low.indexOf(part, at);
      if (found === -1 || found + part.length > low.length - last.length) return false;
      at = found + part.length;
    }
    return true;
  };
}
