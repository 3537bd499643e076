/**
 * A JSON value as RFC 8785 (JSON Canonicalization Scheme) writes it: members in the order of their keys' UTF-16 code units, no white
 * space, numbers and strings as ECMAScript writes them. Members that are undefined are left out, as by JSON.stringify.
 * @throws TypeError for what that form has no text for: NaN, infinities, halves of a surrogate pair, values that are no JSON.
 */
export function canonicalize(value: unknown): string {
  // What is in order already is what JSON.stringify writes too, several times faster; the line of every decision is made this way.
  return isInOrder(value) ? JSON.stringify(value) : canonicalText(value);
}

/** The same; undefined for what has no canonical form: a text that was read may hold anything. */
export function canonicalOf(value: unknown): string | undefined {
  try {
    return canonicalize(value);
  } catch {
    return undefined;
  }
}

/** Whether JSON.stringify writes a value in canonical form: keys in order at every depth, numbers and strings that have a form. */
function isInOrder(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object') return typeof value === 'boolean';
  if (value === null) return true;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (!isInOrder(value[i])) return false;
    return true;
  }
  let last: string | undefined;
  for (const key in value) {
    const member: unknown = (value as Readonly<Record<string, unknown>>)[key];
    if ((last !== undefined && last >= key) || !key.isWellFormed()) return false;
    if (member !== undefined && !isInOrder(member)) return false;
    last = key;
  }
  return true;
}

function canonicalText(value: unknown): string {
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed()) throw new TypeError('half of a surrogate pair has no canonical form');
      return JSON.stringify(value);
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`${value} has no canonical form`);
      return JSON.stringify(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value) ? canonicalArray(value) : canonicalObject(value);
    default:
      throw new TypeError(`a ${typeof value} has no canonical form`);
  }
}

function canonicalArray(list: readonly unknown[]): string {
  let text = '[';
  for (let i = 0; i < list.length; i++) text += i === 0 ? canonicalText(list[i]) : `,${canonicalText(list[i])}`;
  return `${text}]`;
}

function canonicalObject(object: object): string {
  let text = '{';
  // Strings compare by UTF-16 code units, as RFC 8785 asks.
  for (const key of Object.keys(object).sort()) {
    const member: unknown = Reflect.get(object, key);
    if (member === undefined) continue;
    text += `${text === '{' ? '' : ','}${canonicalText(key)}:${canonicalText(member)}`;
  }
  return `${text}}`;
}
