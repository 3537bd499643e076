import { conformanceId } from '../facts/conformance.ts';
import { reasons as conformanceReasons, type Reason } from '../facts/reasons.ts';
import type { ConformanceSettings } from '../facts/settings.ts';
import { parseGoDuration } from '../kube/go-duration.ts';
import { clip } from '../kube/text.ts';
import type { Edit } from '../model/edit.ts';
import type { Ceiling, Enforcement, Finding } from '../model/finding.ts';
import { markLabel, type Node, verifiedAnnotation } from '../model/node.ts';
import type { CompiledPolicy, Policy } from '../model/policy.ts';
import { type AdmissionRequest, isKubelet } from '../model/request.ts';
import { isSurelyNew, type NodeLookup } from '../model/snapshot.ts';
import {
  canViolate,
  isQuarantineOn,
  type Marks,
  marksAtCreate,
  marksAtUpdate,
  marksOf,
  quarantineId,
  sameMarks,
  unmarked,
} from '../quarantine.ts';
import { type Contradiction, defineRule, enforcementSchema, nothing, type RuleResult } from '../rule.ts';
import { needsRegisteringNode, nodeCreates, nodeUpdates } from './node-requests.ts';

/*
 * Keeps workflow pods off a node that violates the guide in what is known only after it has joined (driver, CUDA, JetPack): such a node
 * bears a mark, and every workflow pod's node affinity leaves marked nodes out. It guards against mistakes, not against a kubelet that
 * lies: the labels are the kubelet's to write.
 *
 * Read fields: metadata.labels, metadata.annotations[osmo-admission/verified], what the facts read. Edited: the mark and that annotation.
 * Mutation sets both right whoever wrote them, so that nobody's request fails for it; validation denies what is still wrong then, and on a
 * kubelet's status only records it, since a denial costs the heartbeat. Labels that a hook puts back persist on nodes and nodes/status for
 * every requester; taints would not.
 */

interface Settings {
  readonly enforcement: Exclude<Enforcement, 'quarantine'>;
  readonly awaited: readonly Reason[];
  readonly awaitFor: string;
}

/** What the reconciler needs of the settings, too. */
export interface QuarantineSettings {
  readonly awaited: readonly Reason[];
  readonly awaitForMs: number;
}

const id = quarantineId;

export const nodeQuarantine = defineRule<Settings, QuarantineSettings>({
  id,
  summary: 'A node that violates what is known only after it has joined bears a mark that workflow pods stay off.',
  on: [nodeCreates, ...nodeUpdates({ changes: ['labels', 'verified'] })],
  settings: {
    defaults: { enforcement: 'enforce', awaited: [], awaitFor: '15m' },
    schema: {
      type: 'object',
      additionalProperties: false,
      description: 'Marks nodes that violate a reason under quarantine, and keeps workflow pods off them.',
      properties: {
        enforcement: enforcementSchema(
          ['enforce', 'warn', 'audit', 'off'],
          'enforce = mark; anything else = no mark, and those that are there are taken away.',
        ),
        awaited: {
          type: 'array',
          items: { enum: conformanceReasons },
          uniqueItems: true,
          description: 'Reasons that a new node owes: it bears the mark until they are known, at most for awaitFor.',
        },
        awaitFor: {
          type: 'string',
          pattern: '^[1-9][0-9]{0,4}[smh]$',
          description: 'How long a new node may owe what is awaited, from its creation: 90s, 15m, 1h.',
        },
      },
    },
  },
  reasons: {
    restored: {
      summary:
        'Somebody wrote the mark or the annotation of a node; it was set right in the same request. Recorded only.',
      fix: 'Nothing, if it was a mistake. The mark goes by itself once the node’s facts meet the guide; see what the node violates.',
    },
    moved: {
      summary:
        'The mark or the annotation of a node would be left other than what its facts say, because the mutating webhook did not run or was undone.',
      fix: 'Leave osmo-admission/quarantined and osmo-admission/verified alone; see why the mutating webhook did not run.',
    },
  },
  compile: ({ awaited, awaitFor }) => ({ awaited, awaitForMs: parseGoDuration(awaitFor) ?? 0 }),
  check,
  enforcement: ({ enforcement }) => enforcement,
  needs: needsRegisteringNode,
  // Below enforce it does nothing, but a policy that is switched on by a reload must find its webhooks there.
  phases: () => ['mutate', 'validate'],
  judges: (subject) => subject.kind === 'node',
  evaluate({ phase, request, subject, policy, lookups }, { awaited }): RuleResult {
    if (subject.kind !== 'node' || !isQuarantineOn(policy) || request.requester.username === policy.ownUser) {
      return nothing;
    }
    const { node, old } = subject;
    const computed = old === undefined ? marksAtCreate(node, policy, awaited) : marksAtUpdate(node, old, policy);
    const written = marksOf(node);
    if (sameMarks(written, computed)) return nothing;
    const before = old === undefined ? unmarked : marksOf(old);
    // Who writes nothing of it moves nothing: where mutation did not run, the reconciler comes later.
    const own = sameMarks(written, before);
    if (phase === 'mutate') {
      const findings = own ? [] : [restored(node, written, computed)];
      return { findings, edits: editsOf(written, computed), notes: [] };
    }
    if (own) return nothing;
    const atMost = ceilingOf(request, lookups.nodes.get(node.name));
    const finding = moved(node, written, computed);
    return { findings: [atMost === undefined ? finding : { ...finding, atMost }], edits: [], notes: [] };
  },
});

/** Settings of the rule under a policy, for the reconciler. */
export function quarantineSettings(policy: CompiledPolicy): QuarantineSettings {
  return policy.settings.get(id) as QuarantineSettings;
}

function editsOf(from: Marks, to: Marks): readonly Edit[] {
  const edits: Edit[] = [];
  if (from.mark !== to.mark) {
    edits.push(
      to.mark === undefined
        ? { edit: 'removeLabel', key: markLabel }
        : { edit: 'setLabel', key: markLabel, value: to.mark },
    );
  }
  if (from.verified !== to.verified) {
    edits.push(
      to.verified === undefined
        ? { edit: 'removeAnnotation', key: verifiedAnnotation }
        : { edit: 'setAnnotation', key: verifiedAnnotation, value: to.verified },
    );
  }
  return edits;
}

function restored(node: Node, written: Marks, computed: Marks): Finding {
  const field = fieldOf(written, computed);
  return {
    rule: id,
    reason: 'restored',
    field,
    message: `${field} of node ${clip(node.name, 64)} was written ${text(written)}, and is set to ${text(computed)} by what the node shows`,
    short: `${markLabel} of node ${clip(node.name, 40)} is set right`,
    atMost: 'audit',
  };
}

/** A denial on a kubelet's status costs the heartbeat, and one of a node that exists, or may exist, its registration. */
function ceilingOf(
  { operation, requester, subResource }: AdmissionRequest,
  lookup: NodeLookup | undefined,
): Ceiling | undefined {
  if (subResource === 'status' && isKubelet(requester)) return 'audit';
  return operation !== 'CREATE' || (lookup !== undefined && isSurelyNew(lookup)) ? undefined : 'warn';
}

function moved(node: Node, written: Marks, computed: Marks): Finding {
  const field = fieldOf(written, computed);
  return {
    rule: id,
    reason: 'moved',
    field,
    message: `${field} of node ${clip(node.name, 64)} would be ${text(written)}, but what the node shows makes it ${text(computed)}: leave it alone, it goes once the node meets the guide`,
    short: `${field} of node ${clip(node.name, 30)} must be left alone`,
  };
}

function fieldOf(written: Marks, computed: Marks): string {
  return written.mark === computed.mark
    ? `metadata.annotations[${verifiedAnnotation}]`
    : `metadata.labels[${markLabel}]`;
}

function text({ mark, verified }: Marks): string {
  if (mark !== undefined) return JSON.stringify(clip(mark, 30));
  return verified === undefined ? 'without both' : `verified as ${JSON.stringify(clip(verified, 30))}`;
}

/** A fact that nothing can deliver would hold every new node for awaitFor. */
function check({ awaited }: Settings, policy: Policy): readonly Contradiction[] {
  const conformance = policy.rules[conformanceId] as ConformanceSettings;
  return awaited.flatMap((reason, index): readonly Contradiction[] => {
    const path = ['rules', id, 'awaited', index];
    if (!canViolate(reason, conformance)) {
      return [
        {
          path,
          other: ['rules', conformanceId, reason],
          message: `${reason} is awaited, but no label is named that states it, so nothing can deliver it: name one`,
        },
      ];
    }
    if (conformance.enforcement[reason] === 'quarantine') return [];
    return [
      {
        path,
        other: ['rules', conformanceId, 'enforcement', reason],
        message: `${reason} is awaited, but its enforcement is ${conformance.enforcement[reason]}, not quarantine`,
      },
    ];
  });
}
