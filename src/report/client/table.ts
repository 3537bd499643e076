import type { RecordIndex, TextColumn } from '../records.ts';
import { byId, countText, make } from './elements.ts';
import { termText } from './query.ts';
import { recordDetails } from './record.ts';
import type { Route } from './route.ts';
import { type SortKey, selectRows } from './select.ts';

const pageSize = 100;

export interface Table {
  /** Shows what a route asks for. */
  show(route: Route): void;
}

/** @param go is called with where the user wants to go. */
export function createTable(index: RecordIndex, go: (route: Route, replace: boolean) => void): Table {
  const body = byId('rows');
  const status = byId('status');
  const pages = byId('pages');
  const filter = byId('filter') as HTMLInputElement;
  const headings = [...document.querySelectorAll<HTMLElement>('#records th[data-sort]')];
  let shown: { readonly key: string; readonly rows: readonly number[] } = { key: '', rows: [] };
  let route: Route | undefined;

  const text = (column: TextColumn, row: number): string => index.texts[index.columns[column][row] ?? 0] ?? '';

  const rowOf = (row: number): HTMLElement => {
    const isDecision = text('kind', row) === 'AdmissionRecord';
    const id = `record-${row}`;
    const toggle = make(
      'button',
      { type: 'button', class: 'open', 'aria-expanded': 'false', 'aria-controls': id },
      timeText(row),
    );
    const decision = text('decision', row);
    const kind = isDecision ? decision : text('kind', row);
    const badge = make(
      'span',
      { class: `badge ${['allow', 'deny', 'error'].includes(decision) ? decision : 'other'}` },
      kind,
    );
    const element = make(
      'tr',
      {},
      make('td', { class: 'time' }, toggle),
      make('td', {}, badge),
      ...cells(row, isDecision),
    );
    toggle.addEventListener('click', () => {
      const open = document.getElementById(id);
      toggle.setAttribute('aria-expanded', String(open === null));
      if (open !== null) {
        open.remove();
        return;
      }
      const cell = make('td', { colspan: '6' }, 'Reading…');
      element.after(make('tr', { id, class: 'record' }, cell));
      void recordDetails(row, index.blockSize, `${text('file', row)}:${index.columns.line[row] ?? 0}`).then((details) =>
        cell.replaceChildren(details),
      );
    });
    return element;
  };

  const cells = (row: number, isDecision: boolean): readonly HTMLElement[] => {
    if (!isDecision) {
      return [
        make('td', {}, text('replica', row)),
        make('td', {}),
        make('td', {}),
        make('td', {}, text('detail', row)),
      ];
    }
    const [namespace, name] = [text('namespace', row), text('name', row)];
    const phase = make(
      'span',
      { class: 'muted' },
      ` ${text('phase', row)}${index.columns.dryRun[row] === 1 ? ', dry run' : ''}`,
    );
    const findings = index.findings[index.columns.finding[row] ?? 0] ?? [];
    const exemptions = index.exemptions[index.columns.exemption[row] ?? 0] ?? [];
    return [
      make('td', {}, linkTo('user', text('user', row))),
      make('td', {}, `${text('verb', row)} ${text('resource', row)}`, phase),
      make('td', {}, ...(namespace === '' ? [] : [linkTo('namespace', namespace), '/']), linkTo('name', name)),
      make(
        'td',
        {},
        ...findings.map(([rule, reason, enforcement]) =>
          make('div', {}, `${rule}/${reason}`, make('span', { class: 'muted' }, ` ${enforcement}`)),
        ),
        ...exemptions.map((reason) => make('div', { class: 'muted' }, `exempt: ${reason}`)),
      ),
    ];
  };

  const linkTo = (field: string, value: string): HTMLElement =>
    value === ''
      ? make('span', { class: 'muted' }, '(none)')
      : make('a', { href: `#decisions?q=${encodeURIComponent(termText(field, value))}` }, value);

  const timeText = (row: number): string => {
    const ms = index.columns.time[row] ?? -1;
    return ms < 0 ? '(no time)' : new Date(ms + index.since).toISOString().replace('T', ' ').slice(0, 23);
  };

  const showPages = (current: Route, total: number): void => {
    const last = Math.max(1, Math.ceil(total / pageSize));
    const to = (page: number, label: string): HTMLElement => {
      const button = make('button', { type: 'button' }, label) as HTMLButtonElement;
      button.disabled = page < 1 || page > last || page === current.page;
      button.addEventListener('click', () => {
        go({ ...current, page }, false);
        byId('records-region').focus();
      });
      return button;
    };
    pages.replaceChildren(
      ...[to(1, 'First'), to(current.page - 1, 'Previous')],
      make('span', {}, `Page ${countText(current.page)} of ${countText(last)}`),
      ...[to(current.page + 1, 'Next'), to(last, 'Last')],
    );
  };

  let typing: ReturnType<typeof setTimeout> | undefined;
  filter.addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      if (route !== undefined) go({ ...route, query: filter.value, page: 1 }, true);
    }, 80);
  });
  // Enter has nothing to send: the rows are there already.
  filter.form?.addEventListener('submit', (event) => event.preventDefault());
  byId('clear').addEventListener('click', () => {
    if (route !== undefined) go({ ...route, query: '', page: 1 }, false);
    filter.focus();
  });
  for (const heading of headings) {
    heading.querySelector('button')?.addEventListener('click', () => {
      if (route === undefined) return;
      const key = heading.dataset.sort as SortKey;
      const descending = route.order.key === key ? !route.order.descending : key === 'time';
      go({ ...route, order: { key, descending }, page: 1 }, false);
    });
  }

  return {
    show(next) {
      const key = JSON.stringify([next.query, next.order]);
      if (shown.key !== key) shown = { key, rows: selectRows(index, next.query, next.order) };
      const last = Math.max(1, Math.ceil(shown.rows.length / pageSize));
      const current = { ...next, page: Math.min(next.page, last) };
      route = current;
      if (filter.value !== current.query) filter.value = current.query;
      for (const heading of headings) {
        const isKey = heading.dataset.sort === current.order.key;
        heading.setAttribute('aria-sort', !isKey ? 'none' : current.order.descending ? 'descending' : 'ascending');
      }
      const first = (current.page - 1) * pageSize;
      const rows = shown.rows.slice(first, first + pageSize);
      body.replaceChildren(...rows.map(rowOf));
      status.textContent =
        rows.length === 0
          ? 'No record matches.'
          : `${countText(first + 1)} to ${countText(first + rows.length)} of ${countText(shown.rows.length)} records that match.`;
      showPages(current, shown.rows.length);
    },
  };
}
