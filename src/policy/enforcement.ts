import type { Ceiling, Enforcement } from './model/finding.ts';

const order: readonly Enforcement[] = ['off', 'audit', 'warn', 'quarantine', 'enforce'];

/** The lower of an enforcement and a ceiling. */
export function atMost(enforcement: Enforcement, ceiling: Ceiling | undefined): Enforcement {
  if (ceiling === undefined) return enforcement;
  return order.indexOf(enforcement) <= order.indexOf(ceiling) ? enforcement : ceiling;
}
