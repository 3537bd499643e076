import { visibleJson } from '../visible.ts';
import { make } from './elements.ts';
import { inflate, textOfElement } from './inflate.ts';

/** Lines of a block, the last few blocks kept: rows that are opened stand near each other. */
const kept = new Map<number, Promise<readonly string[]>>();
const maxKept = 4;

function linesOf(block: number): Promise<readonly string[]> {
  const known = kept.get(block);
  if (known !== undefined) return known;
  const encoded = textOfElement(`block-${block}`);
  const lines = encoded === '' ? Promise.resolve([]) : inflate(encoded).then((text) => text.split('\n'));
  kept.set(block, lines);
  const [oldest] = kept.keys();
  if (kept.size > maxKept && oldest !== undefined) kept.delete(oldest);
  return lines;
}

/** Longer records are shown as far as this. */
const maxShown = 100_000;

/** The whole record of a row: what was found, in words, then the record as it stands in the log. */
export async function recordDetails(row: number, blockSize: number, place: string): Promise<HTMLElement> {
  const line = (await linesOf(Math.floor(row / blockSize)))[row % blockSize] ?? '';
  const where = make('p', { class: 'place' }, `Line ${place}`);
  if (line === '') {
    return make(
      'div',
      {},
      where,
      make('p', {}, 'This record is too long for the page, or the page was full: read it there.'),
    );
  }
  const value: unknown = JSON.parse(line);
  const whole = visibleJson(JSON.stringify(value, undefined, 2));
  const text = document.createElement('pre');
  text.tabIndex = 0;
  text.setAttribute('aria-label', 'The whole record');
  text.textContent = whole.slice(0, maxShown);
  const parts = [...findingsList(value), where, text];
  if (whole.length > maxShown) {
    const more = make('button', { type: 'button' }, `Show all ${whole.length.toLocaleString('en-US')} characters`);
    more.addEventListener('click', () => {
      text.textContent = whole;
      // With the button its focus would go to the top of the page.
      text.focus();
      more.remove();
    });
    parts.push(more);
  }
  return make('div', {}, ...parts);
}

function findingsList(value: unknown): readonly HTMLElement[] {
  const findings: unknown = member(value, 'findings');
  if (!Array.isArray(findings) || findings.length === 0) return [];
  const items = findings.slice(0, 50).map((finding: unknown) => {
    const [enforcement, field] = [textMember(finding, 'enforcement'), textMember(finding, 'field')];
    const id = `${textMember(finding, 'rule')}/${textMember(finding, 'reason')}`;
    const where = field === '' ? '' : ` · ${field}`;
    return make(
      'li',
      {},
      make('strong', {}, id),
      make('span', { class: 'muted' }, ` ${enforcement}${where}`),
      make('br'),
      textMember(finding, 'message'),
    );
  });
  return [make('ul', { class: 'findings' }, ...items)];
}

function member(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Readonly<Record<string, unknown>>)[key]
    : undefined;
}

function textMember(value: unknown, key: string): string {
  const text = member(value, key);
  return typeof text === 'string' ? text.slice(0, 4_000) : '';
}
