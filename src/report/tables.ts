import { type Html, html, type Part } from './html.ts';

export interface Column {
  readonly name: string;
  /** Figures stand to the right. */
  readonly figure?: boolean;
}

/** A table that scrolls by itself where the page is too narrow for it. */
export function table(caption: string, columns: readonly Column[], rows: readonly (readonly Part[])[]): Html {
  const head = columns.map(({ name, figure }) =>
    figure === true ? html`<th scope="col" class="figure">${name}</th>` : html`<th scope="col">${name}</th>`,
  );
  const body = rows.map(
    (cells) =>
      html`<tr>${cells.map((cell, index) => (columns[index]?.figure === true ? html`<td class="figure">${cell}</td>` : html`<td>${typeof cell === 'string' ? shortened(cell) : cell}</td>`))}</tr>`,
  );
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table><caption>${caption}</caption><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>`;
}

/** Longer than any message of the product. What others wrote may be a thousand times that, in each of hundreds of rows. */
const maxText = 2_000;

function shortened(text: string): string {
  return text.length <= maxText ? text : `${text.slice(0, maxText)}…`;
}

/** What is there for whoever wants to know more. */
export function details(summary: string, ...content: readonly Part[]): Html {
  return html`<details><summary>${summary}</summary>${content}</details>`;
}

/** More rows are counted. */
export const maxRows = 200;

/** The rows that a table shows, and how many more there are. */
export function limited<T>(
  list: readonly T[],
  most = maxRows,
): { readonly shown: readonly T[]; readonly rest: Html | undefined } {
  const rest = list.length - most;
  return {
    shown: list.slice(0, most),
    rest: rest > 0 ? html`<p class="muted">And ${rest.toLocaleString('en-US')} more.</p>` : undefined,
  };
}
