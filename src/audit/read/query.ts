import { compileGlob, type Glob } from '../../policy/kube/glob.ts';
import { field } from '../../policy/model/read.ts';
import { type Line, object, objects, text } from './entry.ts';

/** What records must be; each member that is there. Globs know `*`. */
export interface Query {
  /** Kind of the line. */
  readonly kind: string;
  /** Milliseconds of the Unix epoch, both inclusive. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly user?: string | undefined;
  readonly rule?: string | undefined;
  readonly reason?: string | undefined;
  readonly enforcement?: string | undefined;
  readonly decision?: string | undefined;
  readonly phase?: string | undefined;
  readonly verb?: string | undefined;
  readonly resource?: string | undefined;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  /** Only those for which an exemption counted. */
  readonly exempted: boolean;
  /** Whether the caller showed that it is the API server. */
  readonly callerVerified?: boolean | undefined;
}

/** Compiles a query once. Rule, reason and enforcement must be those of one finding. */
export function compileQuery(query: Query): (line: Line) => boolean {
  const glob = (pattern: string | undefined): Glob => (pattern === undefined ? () => true : compileGlob(pattern));
  const [user, rule, reason, enforcement] = [query.user, query.rule, query.reason, query.enforcement].map(glob) as [
    Glob,
    Glob,
    Glob,
    Glob,
  ];
  const [resource, namespace, name] = [query.resource, query.namespace, query.name].map(glob) as [Glob, Glob, Glob];
  const [decision, phase, verb] = [query.decision, query.phase, query.verb].map(glob) as [Glob, Glob, Glob];
  const asksFinding = query.rule !== undefined || query.reason !== undefined || query.enforcement !== undefined;
  const isTimed = Number.isFinite(query.fromMs) || Number.isFinite(query.toMs);
  return ({ header, value }) => {
    if (header.kind !== query.kind) return false;
    if (isTimed) {
      const ms = Date.parse(header.time);
      // What bears no time that can be read is left out by none.
      if (ms < query.fromMs || ms > query.toMs) return false;
    }
    if (header.kind !== 'AdmissionRecord') return true;
    const ref = object(value, 'objectRef');
    return (
      decision(text(value, 'decision')) &&
      phase(text(value, 'phase')) &&
      verb(text(value, 'verb')) &&
      user(text(object(value, 'user'), 'username')) &&
      resource(resourceOf(value)) &&
      namespace(text(ref, 'namespace')) &&
      name(text(ref, 'name')) &&
      (query.callerVerified === undefined || (field(value, 'callerVerified') === true) === query.callerVerified) &&
      (!query.exempted || objects(value, 'exemptions').length > 0) &&
      (!asksFinding ||
        objects(value, 'findings').some(
          (finding) =>
            rule(text(finding, 'rule')) && reason(text(finding, 'reason')) && enforcement(text(finding, 'enforcement')),
        ))
    );
  };
}

/** `pods/binding`. */
export function resourceOf(value: Line['value']): string {
  const ref = object(value, 'objectRef');
  const subresource = text(ref, 'subresource');
  return `${text(ref, 'resource')}${subresource === '' ? '' : `/${subresource}`}`;
}

/** A record as a row: what a table shows of it. */
export const columns = [
  ...['time', 'cluster', 'replica', 'boot', 'sequence', 'kind', 'phase', 'decision', 'user', 'verb', 'resource'],
  ...['namespace', 'name', 'dryRun', 'callerVerified', 'findings', 'exemptions', 'policyDigest', 'detail', 'hash'],
] as const;

export type Row = Readonly<Record<(typeof columns)[number], string>>;

export function rowOf({ header, value, hash }: Line): Row {
  const ref = object(value, 'objectRef');
  const flag = (key: string): string => (header.kind === 'AdmissionRecord' ? String(field(value, key) === true) : '');
  return {
    ...{ time: header.time, cluster: text(value, 'cluster'), replica: header.replica, boot: header.boot },
    ...{ sequence: String(header.sequence), kind: header.kind },
    ...{
      phase: text(value, 'phase'),
      decision: text(value, 'decision'),
      user: text(object(value, 'user'), 'username'),
    },
    ...{ verb: text(value, 'verb'), resource: resourceOf(value) },
    ...{ namespace: text(ref, 'namespace'), name: text(ref, 'name') },
    ...{ dryRun: flag('dryRun'), callerVerified: flag('callerVerified') },
    findings: findingsText(value),
    exemptions: objects(value, 'exemptions')
      .map((exemption) => text(exemption, 'reason'))
      .join('; '),
    policyDigest: text(value, 'policyDigest') || text(value, 'digest'),
    detail: detailOf(value),
    hash,
  };
}

/** `operator-node-guard/tolerates (enforce); …`. */
export function findingsText(value: Line['value']): string {
  return objects(value, 'findings')
    .map((finding) => `${text(finding, 'rule')}/${text(finding, 'reason')} (${text(finding, 'enforcement')})`)
    .join('; ');
}

/** What a line of another kind says, in one cell. */
export function detailOf(value: Line['value']): string {
  const gaps = objects(value, 'gaps').map((gap) => `${text(gap, 'where')} ${text(gap, 'message')}`);
  const lost = field(value, 'lost');
  const callers = text(object(value, 'settings'), 'callerVerification');
  const parts = [
    ...['outcome', 'preset', 'notAfter', 'fingerprint', 'version', 'keyId', 'signal', 'to', 'why', 'error'].map((key) =>
      text(value, key),
    ),
    typeof lost === 'number' ? `${lost} lines lost` : '',
    callers === '' ? '' : `verification of callers ${callers}`,
    ...(text(value, 'kind') === 'ConfigurationRecord' && gaps.length === 0 ? ['no gaps'] : gaps),
  ];
  return parts.filter((part) => part !== '').join('; ');
}
