import { type AuditLine, lineApiVersion } from './line.ts';

const name = { type: 'string', maxLength: 253 };
const text = { type: 'string', maxLength: 2_048 };
const field = { type: 'string', maxLength: 512 };
const filePath = { type: 'string', maxLength: 4_096 };
const names = { type: 'array', items: name };
const sha256 = { type: 'string', pattern: '^[0-9a-f]{64}$' };
const keyId = {
  type: 'string',
  pattern: '^([0-9a-f]{16})?$',
  description: 'First 16 hex digits of the SHA-256 of the key’s SPKI DER.',
};
const count = { type: 'integer', minimum: 0 };
const sequence = { type: 'integer', minimum: 1 };
const time = { type: 'string', pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$' };
const longText = { type: 'string', maxLength: 8_192 };
const outcome = { enum: ['loaded', 'refused'] };
const sink = { enum: ['stdout', 'file'] };

function closed(
  properties: Readonly<Record<string, unknown>>,
  optional: readonly string[] = [],
): Readonly<Record<string, unknown>> {
  return {
    type: 'object',
    additionalProperties: false,
    required: Object.keys(properties).filter((key) => !optional.includes(key)),
    properties,
  };
}

const boot = { type: 'string', pattern: '^[0-9a-f]{32}$', description: 'Drawn anew at each start of the process.' };

function line(
  kind: AuditLine['kind'],
  description: string,
  properties: Readonly<Record<string, unknown>>,
  optional: readonly string[] = [],
): Readonly<Record<string, unknown>> {
  return {
    description,
    ...closed(
      {
        apiVersion: { const: lineApiVersion },
        kind: { const: kind },
        time: { ...time, description: 'RFC 3339 in UTC; of a decision, when it was begun.' },
        cluster: { ...name, description: 'As --cluster-name says; may be empty.' },
        replica: { ...name, description: 'The pod’s name, else the host’s.' },
        boot,
        sequence: { ...sequence, description: '1, 2, 3 … in each boot.' },
        previous: {
          ...sha256,
          description:
            'SHA-256 of the bytes of the line before, without its line break. Of a boot’s first line, the last whole line in the file at its start; 64 zeros where there was none.',
        },
        ...properties,
      },
      optional,
    ),
  };
}

const lines: readonly Readonly<Record<string, unknown>>[] = [
  line(
    'AdmissionRecord',
    'One decision. Two belong to one request that is mutated and validated.',
    {
      phase: {
        enum: ['mutate', 'validate'],
        description: 'Which webhook call: mutation never denies, validation never patches.',
      },
      requestUID: { ...name, description: 'uid of the review; fresh for each webhook call.' },
      callerVerified: {
        type: 'boolean',
        description:
          'Whether the caller showed a client certificate that the server takes for the API server’s; false where it asks for none.',
      },
      user: {
        ...closed({ username: name, groups: { type: 'array', items: name, maxItems: 32 } }),
        description: 'Who made the request.',
      },
      verb: { enum: ['create', 'update', 'delete', 'connect'] },
      objectRef: {
        ...closed({ apiGroup: name, apiVersion: name, resource: name, subresource: name, namespace: name, name }),
        description: 'What the request is about. While mutating, a pod with only a generateName is named by it.',
      },
      dryRun: { type: 'boolean' },
      decision: {
        enum: ['allow', 'deny', 'error'],
        description: 'error: answered with HTTP 500, so that failurePolicy decided.',
      },
      rules: { ...names, description: 'Ids of the rules that judged the object; empty where none did.' },
      findings: {
        type: 'array',
        maxItems: 50,
        description: 'Everything found, also what is only warned or recorded.',
        items: closed({
          rule: { type: 'string' },
          reason: { type: 'string' },
          enforcement: { enum: ['enforce', 'quarantine', 'warn', 'audit'] },
          field,
          message: text,
        }),
      },
      warnings: { type: 'array', maxItems: 50, items: text, description: 'Warnings as the client sees them.' },
      patch: {
        type: 'array',
        maxItems: 101,
        items: field,
        description:
          'Paths of the JSON Patch operations (RFC 6901); their values are the policy’s. At most 100, then how many more.',
      },
      exemptions: {
        type: 'array',
        description: 'Exemptions used, with the rules that they kept from judging.',
        items: closed({ reason: text, rules: names }),
      },
      error: { ...text, description: 'Why the request could not be judged; only with decision error.' },
      policyDigest: { ...sha256, description: 'SHA-256 of the policy in force.' },
      nodes: {
        ...closed({
          state: { enum: ['offline', 'unsynced', 'synced', 'stale'] },
          resourceVersion: { type: 'string' },
          ageSeconds: { type: ['number', 'null'], minimum: 0 },
        }),
        description: 'The view of live nodes that was used, and how long ago its source had confirmed it.',
      },
      durationSeconds: { type: 'number', minimum: 0, description: 'From the parsed review to the answer.' },
    },
    ['error'],
  ),
  line('LogStart', 'First line of a boot.', {
    version: { ...name, description: 'Of the program.' },
    previousBoot: {
      anyOf: [{ type: 'null' }, closed({ boot, sequence, hash: sha256 })],
      description: 'The line that `previous` names, where it is one of this log.',
    },
    publicKey: {
      type: 'string',
      maxLength: 256,
      description: 'SPKI PEM of the key that signs; empty where nothing is signed.',
    },
    keyId,
    settings: closed({
      fsync: { enum: ['always', 'interval', 'none'] },
      onError: { enum: ['continue', 'deny'] },
      sinks: { type: 'array', items: sink },
      callerVerification: {
        enum: ['off', 'on', 'required'],
        description:
          'Whether callers are asked for client certificates. on: those that are not verified are served, too; off: callerVerified is false in every record.',
      },
    }),
    tornTail: {
      anyOf: [{ type: 'null' }, closed({ bytes: sequence, keptAs: filePath })],
      description: 'What a writer that was cut off had left at the end of the file, and where it is kept.',
    },
  }),
  line('LogStop', 'An orderly end. A LogStart after anything else tells of a disorderly one.', {
    signal: { ...text, description: 'What asked for the end, or why the server did not start.' },
    records: { ...count, description: 'Decisions of this boot.' },
  }),
  line(
    'PolicyRecord',
    'A policy that came into force, or a policy file that was refused.',
    {
      outcome,
      digest: { ...sha256, description: 'Of the policy in force after this.' },
      preset: { enum: ['enforce', 'monitor'] },
      policyText: {
        type: 'string',
        description: 'The policy in force as YAML, defaults filled in; once per digest and boot.',
      },
      error: { ...longText, description: 'Why the file was refused.' },
    },
    ['policyText', 'error'],
  ),
  line(
    'CertificateRecord',
    'A serving certificate that came into use, or files that were refused.',
    {
      outcome,
      notAfter: { ...time, description: 'Of the certificate in use after this.' },
      fingerprint: { ...sha256, description: 'SHA-256 of its DER.' },
      error: longText,
    },
    ['error'],
  ),
  line(
    'ConfigurationRecord',
    'What the API server does not send that the policy covers; whenever that changes, also to nothing.',
    {
      gaps: { type: 'array', maxItems: 101, items: closed({ where: field, message: text }) },
    },
  ),
  line('FileRecord', 'Somebody else was at the file: from about here on its lines stand in another one.', {
    from: { ...filePath, description: 'The file that was left.' },
    to: { ...filePath, description: 'The file that this process alone writes to.' },
    why: text,
  }),
  line('GapRecord', 'Lines that a sink does not have; written once it works again.', {
    sink,
    lost: { ...sequence, description: 'How many.' },
    firstSequence: sequence,
    lastSequence: {
      ...sequence,
      description: 'Lines between first and last may be there, where lost is less than their span.',
    },
    before: { ...sha256, description: '`previous` of the first: the hash of the line before it.' },
    from: { ...time, description: 'Time of the first.' },
    to: { ...time, description: 'Time of the last.' },
    why: text,
  }),
  line('Checkpoint', 'Signs the chain as far as `previous`.', {
    records: { ...count, description: 'Lines of this boot before this one.' },
    keyId,
    signature: {
      type: 'string',
      pattern: '^[A-Za-z0-9+/]{86}==$',
      description: 'Base64 of the Ed25519 signature over the RFC 8785 form of this object without this member.',
    },
  }),
];

/** JSON Schema of a line of the audit log, published with the package. Field names follow the API server's audit event where it has one. */
export const auditLineSchema: Readonly<Record<string, unknown>> = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'A line of the OSMO admission audit log',
  oneOf: lines,
};
