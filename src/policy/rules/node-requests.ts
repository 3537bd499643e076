import type { Need, NeedsInput, RequestMatch } from '../rule.ts';

/** What the rules about nodes share in the requests that they read. */

/** A node that registers. */
export const nodeCreates: RequestMatch = { group: '', resource: 'nodes', operations: ['CREATE'] };

/** Updates of a node and of its status: labels persist through both. */
export function nodeUpdates(match: Pick<RequestMatch, 'changes' | 'phases'>): readonly RequestMatch[] {
  return ['nodes', 'nodes/status'].map((resource) => ({ group: '', resource, operations: ['UPDATE'], ...match }));
}

/** The node that registers, where it is validated: whether it is new decides how it may be answered. */
export function needsRegisteringNode({ request, subject, phase }: NeedsInput): readonly Need[] {
  return request.operation === 'CREATE' && phase === 'validate' && subject.kind === 'node'
    ? [{ kind: 'node', name: subject.node.name }]
    : [];
}
