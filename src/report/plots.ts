import { stepFor } from './denials.ts';
import { type Html, html } from './html.ts';
import { type Filter, recordsHref } from './links.ts';

/*
 * Plots as inline SVG without a viewBox: lengths across are percentages, so that a plot is as wide as there is room, and its text keeps its
 * size. They are for the eye alone: each stands beside a table that says the same, which is what keyboards and screen readers get.
 */

export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Where a time stands, in percent. */
function across(ms: number, { fromMs, toMs }: Span): number {
  const share = toMs > fromMs ? (ms - fromMs) / (toMs - fromMs) : 0;
  return Math.round(Math.min(1, Math.max(0, share)) * 100_000) / 1_000;
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const dayMs = 86_400_000;

/** Labels of the time below a plot, none nearer to an edge than half its width. */
function timeAxis(span: Span, y: number): Html {
  const stepMs = stepFor(span.toMs - span.fromMs, 5);
  const ticks: Html[] = [];
  for (let ms = Math.ceil(span.fromMs / stepMs) * stepMs; ms <= span.toMs && ticks.length < 8; ms += stepMs) {
    const x = across(ms, span);
    if (x < 7 || x > 93) continue;
    ticks.push(
      html`<line class="tick" x1="${x}%" x2="${x}%" y1="${y}" y2="${y + 4}"/><text class="axis" x="${x}%" y="${y + 16}" text-anchor="middle">${tickText(ms, stepMs)}</text>`,
    );
  }
  return html`<line class="base" x1="0" x2="100%" y1="${y}" y2="${y}"/>${ticks}`;
}

function tickText(ms: number, stepMs: number): string {
  const iso = new Date(ms).toISOString();
  const date = `${Number(iso.slice(8, 10))} ${months[Number(iso.slice(5, 7)) - 1]}`;
  if (stepMs >= dayMs) return date;
  if (stepMs < 1_000) return iso.slice(14, 23);
  if (stepMs < 60_000) return iso.slice(11, 19);
  return iso.slice(11, 16) === '00:00' ? date : iso.slice(11, 16);
}

export interface Series {
  readonly name: string;
  /** Class of its colour. */
  readonly colour: string;
  readonly values: readonly number[];
}

export interface Bars {
  readonly fromMs: number;
  readonly stepMs: number;
  readonly series: readonly Series[];
  /** The records of a bucket. */
  readonly filter: (fromMs: number, toMs: number) => Filter;
}

const barsHeight = 140;

/** Stacked bars over time; a bar leads to its records. */
export function stackedBars({ fromMs, stepMs, series, filter }: Bars): Html {
  const length = series[0]?.values.length ?? 0;
  const sums = Array.from({ length }, (_, at) => series.reduce((sum, { values }) => sum + (values[at] ?? 0), 0));
  const top = niceTop(Math.max(1, ...sums));
  const span = { fromMs, toMs: fromMs + stepMs * length };
  const width = 100 / Math.max(1, length);
  const bars = sums.flatMap((sum, at) => {
    if (sum === 0) return [];
    let below = 0;
    const parts = series.map(({ colour, values }) => {
      const height = ((values[at] ?? 0) / top) * barsHeight;
      below += height;
      return height === 0
        ? undefined
        : html`<rect class="${colour}" x="${round(at * width + width * 0.1)}%" width="${round(width * 0.8)}%" y="${round(8 + barsHeight - below)}" height="${round(Math.max(height, 1))}"/>`;
    });
    const start = fromMs + at * stepMs;
    return [html`<a tabindex="-1" href="${recordsHref(filter(start, start + stepMs))}">${parts}</a>`];
  });
  const marked = [top, top / 2].map((value) => ({ value, y: round(8 + barsHeight - (value / top) * barsHeight) }));
  const lines = marked.map(({ y }) => html`<line class="grid" x1="0" x2="100%" y1="${y}" y2="${y}"/>`);
  const labels = marked.map(
    ({ value, y }) => html`<text class="axis over" x="0" y="${y - 3}">${value.toLocaleString('en-US')}</text>`,
  );
  // Labels stand above their lines, and before a bar that reaches there.
  return html`<svg class="plot" width="100%" height="${barsHeight + 44}" aria-hidden="true"><g transform="translate(0 14)">${lines}${bars}${labels}${timeAxis(span, 8 + barsHeight)}</g></svg>`;
}

/** The least of 2, 4, 6, 8, 10, 12, 16, 20, 40 … that is no less: its half is whole. */
function niceTop(most: number): number {
  for (let unit = 1; ; unit *= 10) {
    for (const top of [2, 4, 6, 8, 10, 12, 16]) if (top * unit >= most) return top * unit;
  }
}

export interface Lane {
  readonly name: string;
  readonly bars: readonly LaneBar[];
}

export interface LaneBar extends Span {
  readonly colour: string;
  /** Shown where there is room for it. */
  readonly label?: string;
  readonly filter?: Filter;
  /** Drawn as a mark of its own width, however short it is. */
  readonly mark?: boolean;
}

const laneHeight = 18;
const lanePitch = 38;

/** Lanes over one time, one below the other, each with its name above it. */
export function lanes(span: Span, list: readonly Lane[]): Html {
  const drawn = list.map(({ name, bars }, index) => {
    const y = index * lanePitch + 16;
    return html`<text class="lane" x="0" y="${y - 5}">${name}</text><rect class="track" x="0" width="100%" y="${y}" height="${laneHeight}"/>${bars.map((bar) => laneBar(bar, span, y))}`;
  });
  const height = list.length * lanePitch;
  return html`<svg class="plot" width="100%" height="${height + 20}" aria-hidden="true">${drawn}${timeAxis(span, height)}</svg>`;
}

function laneBar({ fromMs, toMs, colour, label, filter, mark }: LaneBar, span: Span, y: number): Html {
  const [from, to] = [across(fromMs, span), across(toMs, span)];
  // What is shorter than a pixel would not be seen.
  const width = Math.max(to - from, mark === true ? 0.5 : 0.2);
  const x = Math.min(from, 100 - width);
  const name =
    label === undefined || width < 2.5 + label.length * 1.3
      ? undefined
      : html`<text class="within${colour.includes('monitor') ? ' open' : ''}" x="${round(x + width / 2)}%" y="${y + 13}" text-anchor="middle">${label}</text>`;
  const shape = html`<rect class="${colour}" x="${round(x)}%" width="${round(width)}%" y="${y}" height="${laneHeight}"/>${name}`;
  return filter === undefined ? shape : html`<a tabindex="-1" href="${recordsHref(filter)}">${shape}</a>`;
}

/** A bar beside a figure, as long as its share of the most. */
export function shareBar(value: number, most: number): Html {
  return html`<svg class="share" width="100%" height="4" aria-hidden="true"><rect class="track" width="100%" height="4"/><rect class="fill" width="${round((value / Math.max(1, most)) * 100)}%" height="4"/></svg>`;
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
