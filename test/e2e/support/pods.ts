import type { KubeObject } from '../../support/fixtures.ts';

/* What a pod, as the API server stores it, says of where it is. */

export const nameOf = ({ metadata }: KubeObject): string => Reflect.get(Object(metadata), 'name');

/** Name of its node; empty for none. */
export const boundTo = ({ spec }: KubeObject): string => Reflect.get(Object(spec), 'nodeName') ?? '';

/** Whether the scheduler has said that it cannot place the pod, or does not look at it. */
export function isJudged({ status, spec }: KubeObject): boolean {
  if (Reflect.get(Object(spec), 'schedulingGates') !== undefined) return true;
  if (Reflect.get(Object(spec), 'schedulerName') === 'nobody') return true;
  const conditions: readonly { type: string; status: string }[] = Reflect.get(Object(status), 'conditions') ?? [];
  return conditions.some(({ type, status: is }) => type === 'PodScheduled' && is === 'False');
}
