import type { AdmissionRequest, Phase, Subject } from '../model/request.ts';
import type { RequestMatch } from '../rule.ts';

/** What the rules about nodes share in the requests that they read. */

/** A node that registers. */
export const nodeCreates: RequestMatch = { group: '', resource: 'nodes', operations: ['CREATE'] };

/** Updates of a node and of its status: labels persist through both. */
export function nodeUpdates(match: Pick<RequestMatch, 'changes' | 'phases'>): readonly RequestMatch[] {
  return ['nodes', 'nodes/status'].map((resource) => ({ group: '', resource, operations: ['UPDATE'], ...match }));
}

/** The node that registers, where it is validated: whether it is new decides how it may be answered. */
export function needsRegisteringNode(
  { operation }: AdmissionRequest,
  subject: Subject,
  phase: Phase,
): readonly string[] {
  return operation === 'CREATE' && phase === 'validate' && subject.kind === 'node' ? [subject.node.name] : [];
}
