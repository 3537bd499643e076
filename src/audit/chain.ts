import { hash } from 'node:crypto';
import { canonicalize } from './canonical.ts';
import {
  type AdmissionRecord,
  type BodyOf,
  type Checkpoint,
  type LineBody,
  type LineHeader,
  lineApiVersion,
} from './line.ts';
import { type SigningKey, signText } from './signing.ts';

/** Where a chain stands: what the next line adds itself to. One chain per replica and boot. */
export interface ChainState {
  readonly cluster: string;
  readonly replica: string;
  readonly boot: string;
  /** Of the last line; 0 before the first. */
  readonly sequence: number;
  /** Hash of the last line; of whatever the chain is linked to before the first. */
  readonly previous: string;
}

export interface Link {
  /** Without its line break. */
  readonly line: string;
  /** What `previous` of the next line is, and what the answer's audit annotation names the line by. */
  readonly hash: string;
  readonly next: ChainState;
}

/** Hex SHA-256 over a line's bytes, without its line break. */
export function hashOf(line: string | Uint8Array): string {
  return hash('sha256', line);
}

/** Adds one line to a chain. */
export function link(state: ChainState, body: LineBody): Link {
  const header = headerAfter(state);
  const line = lineOf(body.kind === 'AdmissionRecord' ? decisionInOrder(body, header) : { ...body, ...header });
  const digest = hashOf(line);
  return { line, hash: digest, next: { ...state, sequence: state.sequence + 1, previous: digest } };
}

/** Adds a line that signs everything before it: `previous` stands in it. */
export function linkCheckpoint(state: ChainState, key: SigningKey, time: string): Link {
  const unsigned: Omit<BodyOf<Checkpoint>, 'signature'> = {
    kind: 'Checkpoint',
    time,
    records: state.sequence,
    keyId: key.keyId,
  };
  const signature = signText(key, canonicalize({ ...unsigned, ...headerAfter(state) }));
  return link(state, { ...unsigned, signature });
}

/** A decision's members in the order of their keys, as the canonical form has them: nothing is left to sort. */
function decisionInOrder(body: BodyOf<AdmissionRecord>, header: Omit<LineHeader, 'time'>): AdmissionRecord {
  return {
    apiVersion: header.apiVersion,
    boot: header.boot,
    callerVerified: body.callerVerified,
    cluster: header.cluster,
    decision: body.decision,
    dryRun: body.dryRun,
    durationSeconds: body.durationSeconds,
    ...(body.error !== undefined && { error: body.error }),
    exemptions: body.exemptions,
    findings: body.findings,
    kind: body.kind,
    nodes: body.nodes,
    objectRef: body.objectRef,
    patch: body.patch,
    phase: body.phase,
    policyDigest: body.policyDigest,
    previous: header.previous,
    replica: header.replica,
    requestUID: body.requestUID,
    rules: body.rules,
    sequence: header.sequence,
    time: body.time,
    user: body.user,
    verb: body.verb,
    warnings: body.warnings,
  };
}

/** A line is written whatever its texts hold: where a half of a surrogate pair is left, U+FFFD takes its place. */
function lineOf(object: object): string {
  try {
    return canonicalize(object);
  } catch {
    const mended = (_key: string, value: unknown): unknown =>
      typeof value === 'string' ? value.toWellFormed() : value;
    return canonicalize(JSON.parse(JSON.stringify(object), mended));
  }
}

function headerAfter({ cluster, replica, boot, sequence, previous }: ChainState): Omit<LineHeader, 'time'> {
  return { apiVersion: lineApiVersion, boot, cluster, previous, replica, sequence: sequence + 1 };
}
