import type { Order, SortKey } from './select.ts';

/** What is shown, as the address keeps it after `#`: it can be sent to others. */
export interface Route {
  readonly view: string;
  readonly query: string;
  readonly order: Order;
  /** From 1. */
  readonly page: number;
}

const sortKeys: readonly SortKey[] = ['time', 'decision', 'user', 'request', 'object', 'finding'];

const latestFirst: Order = { key: 'time', descending: true };

/** `#decisions?q=user%3Aalice&sort=-time&page=2`. Whatever stands there means something. */
export function parseRoute(hash: string): Route {
  const [view = '', search = ''] = hash.replace(/^#/, '').split('?');
  const params = new URLSearchParams(search);
  const asked = params.get('sort') ?? '';
  const key = sortKeys.find((known) => known === asked.replace(/^-/, ''));
  const page = Number(params.get('page') ?? '1');
  return {
    view,
    query: params.get('q') ?? '',
    order: key === undefined ? latestFirst : { key, descending: asked.startsWith('-') },
    page: Number.isSafeInteger(page) && page > 0 ? page : 1,
  };
}

export function routeHash({ view, query, order, page }: Route): string {
  const params = new URLSearchParams();
  if (query !== '') params.set('q', query);
  const sort = `${order.descending ? '-' : ''}${order.key}`;
  if (sort !== '-time') params.set('sort', sort);
  if (page > 1) params.set('page', String(page));
  const search = params.toString();
  return `#${view}${search === '' ? '' : `?${search}`}`;
}
