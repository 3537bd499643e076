import type { RecordIndex } from '../records.ts';
import { byId } from './elements.ts';
import { inflate, textOfElement } from './inflate.ts';
import { parseRoute, type Route, routeHash } from './route.ts';
import { createTable } from './table.ts';
import { startTheme } from './theme.ts';

/*
 * The page's script: shows one view at a time, by what stands after # in the address, and fills the table of records. Everything else of
 * the page is there without it.
 */

const views = [...document.querySelectorAll<HTMLElement>('main > section[id]')];

function showView(target: string): void {
  const element = target === '' ? null : document.getElementById(target);
  const view = views.find((candidate) => candidate === element || candidate.contains(element)) ?? views[0];
  for (const candidate of views) candidate.classList.toggle('away', candidate !== view);
  for (const link of document.querySelectorAll<HTMLAnchorElement>('nav a')) {
    if (link.hash === `#${view?.id ?? ''}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  if (element !== null && element !== view) element.scrollIntoView();
}

async function start(): Promise<void> {
  document.documentElement.classList.add('scripted');
  startTheme();
  const before = parseRoute(location.hash);
  showView(before.view);
  const index = JSON.parse(await inflate(textOfElement('record-index'))) as RecordIndex;
  const go = (route: Route, replace: boolean): void => {
    const hash = routeHash(route);
    if (replace) history.replaceState(undefined, '', hash);
    else history.pushState(undefined, '', hash);
    table.show(route);
  };
  const table = createTable(index, go);
  const follow = (): void => {
    const route = parseRoute(location.hash);
    showView(route.view);
    table.show(route.view === 'decisions' ? route : { ...route, view: 'decisions' });
  };
  // It leads to what is shown, and not to another address: that would be another view.
  document.querySelector('.skip')?.addEventListener('click', (event) => {
    event.preventDefault();
    byId('main').focus();
  });
  addEventListener('hashchange', () => {
    follow();
    const view = views.find(({ classList }) => !classList.contains('away'));
    // Whoever follows a link reads on where it leads.
    view?.querySelector<HTMLElement>('h2')?.focus({ preventScroll: true });
    if (parseRoute(location.hash).view === view?.id) scrollTo(0, 0);
  });
  follow();
  byId('records-region').removeAttribute('aria-busy');
  document.documentElement.dataset.ready = '';
  performance.mark('report-ready');
}

start().catch((error: unknown) => {
  byId('status').textContent = `The records cannot be shown: ${String(error)}`;
  throw error;
});
