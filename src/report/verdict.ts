import { type Html, html } from './html.ts';

/** How an answer reads at a glance: by sign and word, colour is only a help. */
export type Level = 'good' | 'attention' | 'bad' | 'plain';

export interface Verdict {
  readonly level: Level;
  readonly text: string;
  /** What makes it so, in smaller letters. */
  readonly more?: string;
}

const signs: Readonly<Record<Level, string>> = { good: '✓', attention: '!', bad: '✕', plain: '·' };

export function verdictLine({ level, text, more = '' }: Verdict): Html {
  return html`<p class="verdict ${level}"><span class="sign" aria-hidden="true">${signs[level]}</span> ${text}</p>${more === '' ? undefined : html`<p class="more">${more}</p>`}`;
}

export interface Figure {
  readonly name: string;
  readonly value: Html | string;
}

/** Figures beside each other. */
export function figures(list: readonly Figure[]): Html {
  return html`<dl class="figures">${list.map(({ name, value }) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}
