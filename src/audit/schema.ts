const name = { type: 'string', maxLength: 254 };
const texts = { type: 'array', items: { type: 'string' } };

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

/** JSON Schema of an audit record, published with the package. Field names follow the API server's audit event where it has one. */
export const auditRecordSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'OSMO admission audit record',
  ...closed(
    {
      apiVersion: { const: 'osmo-admission/v1alpha1' },
      kind: { const: 'AdmissionRecord' },
      time: {
        type: 'string',
        pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$',
        description: 'When the review was judged, RFC 3339 in UTC.',
      },
      phase: {
        enum: ['mutate', 'validate'],
        description: 'Which webhook call: mutation never denies, validation never patches.',
      },
      requestUID: { ...name, description: 'uid of the review; fresh for each webhook call.' },
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
      rules: { ...texts, description: 'Ids of the rules that judged the object; empty where none did.' },
      findings: {
        type: 'array',
        description: 'Everything found, also what is only warned or recorded.',
        items: closed({
          rule: { type: 'string' },
          reason: { type: 'string' },
          enforcement: { enum: ['enforce', 'quarantine', 'warn', 'audit'] },
          field: { type: 'string' },
          message: { type: 'string' },
        }),
      },
      warnings: { ...texts, description: 'Warnings as the client sees them.' },
      patch: {
        ...texts,
        description:
          'Paths of the JSON Patch operations (RFC 6901); their values are the policy’s. At most 100, then how many more.',
      },
      exemptions: {
        type: 'array',
        description: 'Exemptions used, with the rules that they kept from judging.',
        items: closed({ reason: { type: 'string' }, rules: texts }),
      },
      error: { type: 'string', description: 'Why the request could not be judged; only with decision error.' },
      policyDigest: { type: 'string', pattern: '^[0-9a-f]{64}$', description: 'SHA-256 of the policy in force.' },
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
} as const;
