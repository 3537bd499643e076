import type { AuditRecord } from '../policy/model/record.ts';

/*
 * The lines of the audit log: one JSON object each, in RFC 8785 form. `schema.ts` says the same as JSON Schema, for readers outside
 * this program.
 */

export const lineApiVersion = 'osmo-admission/v1alpha1';

/** What `previous` holds where there is no line before. */
export const noHash = '0'.repeat(64);

/** What every line has. */
export interface LineHeader {
  readonly apiVersion: typeof lineApiVersion;
  /** RFC 3339 with milliseconds, UTC. */
  readonly time: string;
  /** Name of the cluster, as whoever runs the server gave it; may be empty. */
  readonly cluster: string;
  /** Which replica wrote it: the pod's name, else the host's. */
  readonly replica: string;
  /** 32 hex digits, drawn anew at each start of the process. */
  readonly boot: string;
  /** 1, 2, 3 … in each boot. */
  readonly sequence: number;
  /**
   * Hex SHA-256 of the line before in the same boot; of the first line, that of the last whole line that the start found in the file,
   * of whatever boot. 64 zeros where there was none.
   */
  readonly previous: string;
}

/** One decision. */
export interface AdmissionRecord extends AuditRecord, LineHeader {
  readonly apiVersion: typeof lineApiVersion;
}

/** First line of each boot. */
export interface LogStart extends LineHeader {
  readonly kind: 'LogStart';
  /** Of this program. */
  readonly version: string;
  /** The line that `previous` names, where it is one of this log. */
  readonly previousBoot: { readonly boot: string; readonly sequence: number; readonly hash: string } | null;
  /** SPKI PEM of the Ed25519 key that signs the checkpoints; empty where nothing is signed. */
  readonly publicKey: string;
  readonly keyId: string;
  readonly settings: {
    readonly fsync: Fsync;
    readonly onError: OnError;
    readonly sinks: readonly SinkName[];
    readonly callerVerification: CallerVerification;
  };
  /** What a writer that was cut off had left at the end of the file, and the file where it is kept. */
  readonly tornTail: { readonly bytes: number; readonly keptAs: string } | null;
}

/** Written at an orderly end. A LogStart that follows anything else tells of a disorderly one. */
export interface LogStop extends LineHeader {
  readonly kind: 'LogStop';
  /** The signal that asked for the end, or why the server did not start. */
  readonly signal: string;
  /** Decisions of this boot. */
  readonly records: number;
}

export interface PolicyRecord extends LineHeader {
  readonly kind: 'PolicyRecord';
  readonly outcome: Outcome;
  /** Of the policy in force after this. */
  readonly digest: string;
  readonly preset: string;
  /** The effective policy as YAML; once per digest and boot. */
  readonly policyText?: string;
  /** Why the file was refused. */
  readonly error?: string;
}

export interface CertificateRecord extends LineHeader {
  readonly kind: 'CertificateRecord';
  readonly outcome: Outcome;
  /** Of the certificate that is served after this; RFC 3339. */
  readonly notAfter: string;
  /** Hex SHA-256 of its DER. */
  readonly fingerprint: string;
  readonly error?: string;
}

/** What the API server does not send that the policy covers; written whenever the list changes, also to none. */
export interface ConfigurationRecord extends LineHeader {
  readonly kind: 'ConfigurationRecord';
  readonly gaps: readonly { readonly where: string; readonly message: string }[];
}

/** Somebody else was at the file: from about here on its lines stand in another one. */
export interface FileRecord extends LineHeader {
  readonly kind: 'FileRecord';
  readonly from: string;
  readonly to: string;
  readonly why: string;
}

/** Lines that one sink does not have: written once it works again. They keep their sequence numbers, and the chain goes on over them. */
export interface GapRecord extends LineHeader {
  readonly kind: 'GapRecord';
  readonly sink: SinkName;
  /** How many lines. */
  readonly lost: number;
  /** Sequence numbers of the first and the last of them; the lines between may be there. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** Hash of the line before the first of them: the line that names it as its `previous` is lost, and this one takes its place. */
  readonly before: string;
  /** Times of the first and the last of them. */
  readonly from: string;
  readonly to: string;
  readonly why: string;
}

/** Signs the chain as far as `previous`. */
export interface Checkpoint extends LineHeader {
  readonly kind: 'Checkpoint';
  /** Lines of this boot before this one. */
  readonly records: number;
  readonly keyId: string;
  /** Base64 of the Ed25519 signature over this object's RFC 8785 bytes without this member. */
  readonly signature: string;
}

export type AuditLine =
  | AdmissionRecord
  | LogStart
  | LogStop
  | PolicyRecord
  | CertificateRecord
  | ConfigurationRecord
  | FileRecord
  | GapRecord
  | Checkpoint;

export type Outcome = 'loaded' | 'refused';
export type SinkName = 'stdout' | 'file';
/** When a written line is forced to the disk: before its answer, from time to time, never. */
/** Whether callers are asked for client certificates: `on` serves those that are not verified, too. */
export type CallerVerification = 'off' | 'on' | 'required';
export type Fsync = 'always' | 'interval' | 'none';
/** What an answer does whose line cannot be written: it goes out, or HTTP 500 does. */
export type OnError = 'continue' | 'deny';

/** A line without what the chain adds to it. */
export type BodyOf<Line> = Line extends AuditLine ? Omit<Line, Exclude<keyof LineHeader, 'time'>> : never;
export type LineBody = BodyOf<AuditLine>;
