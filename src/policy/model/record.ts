import type { Phase } from './request.ts';

/**
 * One decision, as the audit log keeps it, without what the log adds to each line. Holds no object, environment variable or secret.
 * Field names follow the API server's audit event where it has one.
 */
export interface AuditRecord {
  readonly kind: 'AdmissionRecord';
  /** RFC 3339 with milliseconds, UTC: when the review was received. */
  readonly time: string;
  readonly phase: Phase;
  readonly requestUID: string;
  /** Whether the caller showed a client certificate that `--client-ca-file` and `--client-allowed-names` take for the API server's. */
  readonly callerVerified: boolean;
  readonly user: { readonly username: string; readonly groups: readonly string[] };
  readonly verb: string;
  readonly objectRef: {
    readonly apiGroup: string;
    readonly apiVersion: string;
    readonly resource: string;
    readonly subresource: string;
    readonly namespace: string;
    readonly name: string;
  };
  readonly dryRun: boolean;
  readonly decision: 'allow' | 'deny' | 'error';
  /** Rules that judged the object. */
  readonly rules: readonly string[];
  readonly findings: readonly RecordedFinding[];
  readonly warnings: readonly string[];
  /** Paths of the JSON Patch operations. */
  readonly patch: readonly string[];
  readonly exemptions: readonly { readonly reason: string; readonly rules: readonly string[] }[];
  /** Why the request could not be judged; only with decision `error`. */
  readonly error?: string;
  readonly policyDigest: string;
  readonly nodes: { readonly state: string; readonly resourceVersion: string; readonly ageSeconds: number | null };
  readonly durationSeconds: number;
}

export interface RecordedFinding {
  readonly rule: string;
  readonly reason: string;
  readonly enforcement: string;
  readonly field: string;
  readonly message: string;
}

/** A record on its way. */
export interface Written {
  /** Hex SHA-256 of the record's line, without its line break: what the answer's audit annotation names it by. */
  readonly hash: string;
  /**
   * Where the answer must wait for the line: resolves when it may go out, or with why it may not. Never rejects, and resolves within the
   * deadline given.
   */
  readonly until?: Promise<string | undefined>;
}

/** Where records go. Never throws and never blocks: a sink that fails counts its failures. */
export interface AuditSink {
  /** @param deadlineMs how long the answer can wait. */
  write(record: AuditRecord, deadlineMs: number): Written;
}
