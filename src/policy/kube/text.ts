/** Text that a user chose, made safe for a message of one line. */

/** Most names and values are this: nothing to replace. */
const plain = /^[ -~]*$/;

/** Control and format characters (line breaks, tabs, bidirectional overrides, zero width), line separators, halves of a surrogate pair. */
const unsafe = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * At most `max` UTF-16 units of a text, the last one `…` where something was cut, and `\uFFFD` for each character that could
 * break a line or reorder what stands around it. Never splits a pair of surrogates. Costs no more for a long text than for a short one.
 */
export function clip(text: string, max: number): string {
  let shown = text;
  if (text.length > max) {
    if (max < 1) return '';
    const last = text.charCodeAt(max - 2);
    const splitsPair = last >= 0xd800 && last <= 0xdbff;
    shown = `${text.slice(0, splitsPair ? max - 2 : max - 1)}…`;
  }
  return plain.test(shown) ? shown : shown.replace(unsafe, '\uFFFD');
}
