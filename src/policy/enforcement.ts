import type { Ceiling, Enforcement } from './model/finding.ts';

const order: readonly Enforcement[] = ['off', 'audit', 'warn', 'quarantine', 'enforce'];

/** The first of these whose enforcement is highest; undefined where there is none. */
export function strictest<T>(items: readonly T[], enforcementOf: (item: T) => Enforcement): T | undefined {
  return items.toSorted((a, b) => order.indexOf(enforcementOf(b)) - order.indexOf(enforcementOf(a)))[0];
}

/** The lower of an enforcement and a ceiling. */
export function atMost(enforcement: Enforcement, ceiling: Ceiling | undefined): Enforcement {
  if (ceiling === undefined) return enforcement;
  return order.indexOf(enforcement) <= order.indexOf(ceiling) ? enforcement : ceiling;
}
