import { visible } from './visible.ts';

/** Text that is HTML already. Only `html` and `markup` make one. */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export type Part = Html | string | number | undefined | readonly Part[];

/** HTML of a template: everything put into it is escaped, but for what is HTML already. Works between tags and in quoted attributes. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.map((text, index) => text + textOf(parts[index])).join(''));
}

/** A time, which never breaks. */
export function stamp(text: string): Html {
  return html`<span class="stamp">${text}</span>`;
}

/** Text of our own that is HTML: never of a file. */
export function markup(text: string): Html {
  return new Html(text);
}

function textOf(part: Part): string {
  if (part === undefined) return '';
  if (part instanceof Html) return part.text;
  if (typeof part === 'object') return part.map(textOf).join('');
  return escapeHtml(String(part));
}

/** Longer than any text of the product, and any link to records. */
const maxText = 16_384;

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  // A name of a megabyte is a forgery: its record is there whole.
  return visible(text.slice(0, maxText)).replace(/[&<>"']/g, (character) => entities[character] ?? '');
}
