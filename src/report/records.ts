/*
 * How the page carries its records. The page's own script reads this form: types alone stand here.
 */

/** What the table filters and sorts by: a column is a list with a member for each record, most of them places in `texts`. */
export interface RecordIndex {
  readonly count: number;
  /** Milliseconds of the Unix epoch of the earliest record; times are counted from it. -1 for a record that bears no time. */
  readonly since: number;
  readonly texts: readonly string[];
  readonly findings: readonly (readonly IndexedFinding[])[];
  readonly exemptions: readonly (readonly string[])[];
  readonly columns: Readonly<
    Record<TextColumn | 'time' | 'finding' | 'exemption' | 'line' | 'dryRun', readonly number[]>
  >;
  /** Records in a block; each block is text of its own, so that one record costs one block. */
  readonly blockSize: number;
}

/** Columns whose members are places in `texts`. */
export type TextColumn =
  | 'kind'
  | 'decision'
  | 'phase'
  | 'verb'
  | 'user'
  | 'resource'
  | 'namespace'
  | 'name'
  | 'replica'
  | 'policy'
  | 'file'
  | 'detail';

/** `[rule, reason, enforcement]`. */
export type IndexedFinding = readonly [string, string, string];
