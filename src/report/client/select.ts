import type { RecordIndex, TextColumn } from '../records.ts';
import { matcherOf, parseQuery, type Term } from './query.ts';

/** Whether the record in a row is meant. */
type Test = (row: number) => boolean;

const textFields: Readonly<Record<string, TextColumn>> = {
  ...{ decision: 'decision', user: 'user', verb: 'verb', resource: 'resource', namespace: 'namespace', name: 'name' },
  ...{ phase: 'phase', policy: 'policy', replica: 'replica', kind: 'kind', file: 'file' },
};

/** Where a word is looked for. */
const wordColumns: readonly TextColumn[] = [
  ...(['decision', 'user', 'verb', 'resource', 'namespace', 'name', 'phase', 'replica', 'kind', 'detail'] as const),
];

export type SortKey = 'time' | 'decision' | 'user' | 'request' | 'object' | 'finding';

export interface Order {
  readonly key: SortKey;
  readonly descending: boolean;
}

/** Rows that a filter leaves, in order. Decisions alone, unless a kind is asked for. */
export function selectRows(index: RecordIndex, query: string, order: Order): readonly number[] {
  const terms = parseQuery(query);
  const tests = testsOf(index, terms);
  if (!terms.some(({ field }) => field === 'kind')) {
    const decision = index.texts.indexOf('AdmissionRecord');
    tests.push((row) => index.columns.kind[row] === decision);
  }
  const rows: number[] = [];
  for (let row = 0; row < index.count; row++) if (tests.every((test) => test(row))) rows.push(row);
  return sorted(index, rows, order);
}

function testsOf(index: RecordIndex, terms: readonly Term[]): Test[] {
  // Rule, reason and enforcement are those of one finding.
  const isOfFinding = ({ field, negated }: Term): boolean =>
    !negated && (field === 'rule' || field === 'reason' || field === 'enforcement');
  const ofFinding = terms.filter(isOfFinding);
  const tests = terms.filter((term) => !isOfFinding(term)).map((term) => negatable(term, testOf(index, term)));
  if (ofFinding.length > 0) tests.push(findingTest(index, ofFinding));
  return tests;
}

function negatable({ negated }: Term, test: Test): Test {
  return negated ? (row) => !test(row) : test;
}

function testOf(index: RecordIndex, term: Term): Test {
  const { field, value } = term;
  const { columns } = index;
  if (field === '') return wordTest(index, term);
  if (field === 'rule' || field === 'reason' || field === 'enforcement') return findingTest(index, [term]);
  if (field === 'since' || field === 'until') {
    const ms = timeOf(value) - index.since;
    if (Number.isNaN(ms)) return () => false;
    return field === 'since' ? (row) => (columns.time[row] ?? -1) >= ms : (row) => within(columns.time[row], ms);
  }
  if (field === 'line') return (row) => columns.line[row] === Number(value);
  if (field === 'dryrun') return (row) => columns.dryRun[row] === (/^(yes|true|1)$/i.test(value) ? 1 : 0);
  const matches = matcherOf(term);
  if (field === 'exemption') {
    const found = index.exemptions.map((reasons) => reasons.some(matches));
    return (row) => found[columns.exemption[row] ?? 0] === true;
  }
  const column = textFields[field];
  if (column === undefined) return () => false;
  // A digest is known by how it begins.
  const isPrefix = field === 'policy' && !term.quoted && !value.includes('*');
  const test = isPrefix ? (text: string): boolean => text.startsWith(value.toLowerCase()) : matches;
  return columnTest(index, column, test);
}

/** Times of the page are UTC: so is one that was copied from it, and names no zone. */
function timeOf(typed: string): number {
  const isBare = /^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?$/.test(typed);
  return Date.parse(isBare ? `${typed.replace(' ', 'T')}Z` : typed);
}

function within(ms: number | undefined, end: number): boolean {
  return ms !== undefined && ms >= 0 && ms < end;
}

function columnTest(index: RecordIndex, column: TextColumn, matches: (text: string) => boolean): Test {
  const places = index.columns[column];
  // Each text is looked at once, and not before a row has it.
  const known = new Int8Array(index.texts.length);
  return (row) => {
    const place = places[row] ?? 0;
    if (known[place] === 0) known[place] = matches(index.texts[place] ?? '') ? 1 : -1;
    return known[place] === 1;
  };
}

function findingTest(index: RecordIndex, terms: readonly Term[]): Test {
  const at = { rule: 0, reason: 1, enforcement: 2 } as const;
  const wanted = terms.map((term) => ({ place: at[term.field as keyof typeof at], matches: matcherOf(term) }));
  const found = index.findings.map((list) =>
    list.some((finding) => wanted.every(({ place, matches }) => matches(finding[place]))),
  );
  return (row) => found[index.columns.finding[row] ?? 0] === true;
}

function wordTest(index: RecordIndex, term: Term): Test {
  const matches = matcherOf(term);
  const columns = wordColumns.map((column) => columnTest(index, column, matches));
  const findings = index.findings.map((list) => list.some(([rule, reason]) => matches(`${rule}/${reason}`)));
  const exemptions = index.exemptions.map((reasons) => reasons.some(matches));
  const { finding, exemption } = index.columns;
  return (row) =>
    findings[finding[row] ?? 0] === true ||
    exemptions[exemption[row] ?? 0] === true ||
    columns.some((test) => test(row));
}

/** Ties are in the order of time, the latest first. */
function sorted(index: RecordIndex, rows: readonly number[], { key, descending }: Order): readonly number[] {
  const { time } = index.columns;
  const sign = descending ? -1 : 1;
  const byTime = (a: number, b: number): number => (time[b] ?? 0) - (time[a] ?? 0) || b - a;
  if (key === 'time') return rows.toSorted((a, b) => -sign * byTime(a, b));
  const ranks = ranksOf(index, key);
  return rows.toSorted((a, b) => sign * ((ranks[a] ?? 0) - (ranks[b] ?? 0)) || byTime(a, b));
}

const sortColumns: Readonly<Record<Exclude<SortKey, 'time' | 'finding'>, readonly TextColumn[]>> = {
  decision: ['decision', 'kind'],
  user: ['user'],
  request: ['resource', 'verb', 'phase'],
  object: ['namespace', 'name'],
};

/** A number for each row by which it sorts: strings are compared once each, not at every step. */
function ranksOf(index: RecordIndex, key: Exclude<SortKey, 'time'>): Float64Array {
  const ranks = new Float64Array(index.count);
  if (key === 'finding') {
    const order = rankOf(index.findings.map(String));
    for (let row = 0; row < index.count; row++) ranks[row] = order[index.columns.finding[row] ?? 0] ?? 0;
    return ranks;
  }
  const order = rankOf(index.texts);
  for (const column of sortColumns[key]) {
    const places = index.columns[column];
    for (let row = 0; row < index.count; row++) {
      ranks[row] = (ranks[row] ?? 0) * index.texts.length + (order[places[row] ?? 0] ?? 0);
    }
  }
  return ranks;
}

function rankOf(texts: readonly string[]): Uint32Array {
  const places = texts.map((_, place) => place).sort((a, b) => ((texts[a] ?? '') < (texts[b] ?? '') ? -1 : 1));
  const ranks = new Uint32Array(texts.length);
  places.forEach((place, rank) => {
    ranks[place] = rank;
  });
  return ranks;
}
