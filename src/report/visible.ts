/*
 * Text that others chose, as the page shows it. The page's own script has these functions too: they touch nothing of Node.
 */

/** Longest text in a cell: every name of Kubernetes fits. */
export const maxCell = 253;

/** Control and format characters (bidirectional overrides, zero width), whatever else has no shape, blanks but the usual one, halves of a surrogate pair. */
const unseen = /(?! )[\p{Cc}\p{Cf}\p{DI}\p{Z}\p{Cs}\u2800]/gu;

/** A text in which nothing hides or reorders what stands around it: such characters show as their code point. */
export function visible(text: string): string {
  return text.replace(unseen, (character) => `⟨U+${codeOf(character).toUpperCase()}⟩`);
}

/** JSON that means the same, with the characters that would hide or reorder written as escapes. Line breaks between members stay. */
export function visibleJson(json: string): string {
  return json.replace(unseen, (character) =>
    character === '\n' ? character : [...Array(character.length).keys()].map((at) => escapeAt(character, at)).join(''),
  );
}

/** A text of a cell: what is longer is cut, at the same place wherever it is shown or looked for. An address cannot hold half of a pair. */
export function cellText(text: string): string {
  const cut = text.length <= maxCell ? text : `${text.slice(0, maxCell - 1).replace(/[\ud800-\udbff]$/, '')}…`;
  return cut.isWellFormed() ? cut : cut.replace(/\p{Cs}/gu, (half) => visible(half));
}

function codeOf(character: string): string {
  return (character.codePointAt(0) ?? 0).toString(16).padStart(4, '0');
}

function escapeAt(text: string, at: number): string {
  return `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`;
}
