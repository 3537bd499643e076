import type { ControlPlane } from '../../cluster/control-plane.ts';

/**
 * Names of the webhooks of ours that judged a request, by the API server's own audit log: `pods.validate`.
 * @throws Error where one was called and failed open, which leaves nothing else.
 */
export async function judgedBy(plane: ControlPlane, auditId: string): Promise<readonly string[]> {
  const annotations = Object.keys(await plane.auditAnnotations(auditId));
  const open = annotations.filter((key) => key.startsWith('failed-open'));
  if (open.length > 0) throw new Error(`failed open: ${open.join(', ')}`);
  const end = '.osmo-admission/decision';
  return annotations.filter((key) => key.endsWith(end)).map((key) => key.slice(0, -end.length));
}
