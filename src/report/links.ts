import { termText } from './client/query.ts';
import { type Html, html, type Part } from './html.ts';
import { cellText } from './visible.ts';

/** Fields of the table's filter, with what they must be: just this text, or what a pattern of ours stands for. */
export type Filter = Readonly<Record<string, string | Pattern>>;

export interface Pattern {
  /** `*` stands for anything. */
  readonly like: string;
}

export const anything: Pattern = { like: '*' };

/** Where the records behind a figure are. */
export function recordsHref(filter: Filter): string {
  const query = Object.entries(filter).map(([field, value]) =>
    typeof value === 'string' ? termText(field, cellText(value)) : `${field}:${value.like}`,
  );
  return `#decisions?${new URLSearchParams({ q: query.join(' ') })}`;
}

/** A figure that leads to its records. */
export function toRecords(filter: Filter, content: Part): Html {
  const shown = typeof content === 'string' ? cellText(content) : content;
  return html`<a href="${recordsHref(filter)}">${shown}</a>`;
}
