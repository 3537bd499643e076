/**
 * A JSON value as RFC 8785 (JSON Canonicalization Scheme) writes it: members in the order of their keys' UTF-16 code units, no white
 * space, numbers and strings as ECMAScript writes them. Members that are undefined are left out, as by JSON.stringify.
 * @throws TypeError for what that form has no text for: NaN, infinities, halves of a surrogate pair, values that are no JSON.
 */
export function canonicalize(value: unknown): string {
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
  for (let i = 0; i < list.length; i++) text += i === 0 ? canonicalize(list[i]) : `,${canonicalize(list[i])}`;
  return `${text}]`;
}

function canonicalObject(object: object): string {
  let text = '{';
  for (const key of sortedKeys(object)) {
    const member: unknown = Reflect.get(object, key);
    if (member === undefined) continue;
    text += `${text === '{' ? '' : ','}${canonicalize(key)}:${canonicalize(member)}`;
  }
  return `${text}}`;
}

/** Our own objects are mostly made in order. Strings compare by UTF-16 code units, as RFC 8785 asks. */
function sortedKeys(object: object): readonly string[] {
  const keys = Object.keys(object);
  for (let i = 1; i < keys.length; i++) {
    if ((keys[i - 1] ?? '') > (keys[i] ?? '')) return keys.sort();
  }
  return keys;
}
