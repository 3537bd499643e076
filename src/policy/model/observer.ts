import type { AuditRecord } from './record.ts';

/** Told of every decision and failure; metrics implement it. Never throws. */
export interface AdmissionObserver {
  decided(record: AuditRecord): void;
  /** `kind` is one of a few fixed words: `malformed`, `internal`, `undecided`, `unrecorded`. */
  failed(kind: string): void;
}
