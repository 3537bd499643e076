import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { type Reason, reasons } from '../../src/policy/facts/reasons.ts';
import { clusterNodes, fixtureNode, type KubeObject, osmoPods } from '../support/fixtures.ts';
import { apply, type Operation } from '../support/json-patch.ts';

/** A golden case as its file holds it. */
export interface Case {
  readonly name: string;
  readonly input: {
    /** A rendered OSMO pod: file name, or `file#index` for a later pod of it. */
    readonly pod?: string;
    /** A node of the fixture cluster. */
    readonly node?: string;
    /** A whole object instead. */
    readonly object?: KubeObject;
    /** Changes to it, as JSON Patch. */
    readonly tweak?: readonly Operation[];
    /** A member of a list, by its path (RFC 6901), that is there so many times more. */
    readonly repeat?: { readonly path: string; readonly times: number };
  };
  readonly context?: {
    /** Policy file content, apiVersion and kind left out. */
    readonly policy?: KubeObject;
    /** `cluster` = the whole fixture cluster; else nodes as in `input`. Left out: offline. */
    readonly nodes?: 'cluster' | readonly NodeEntry[];
    /** ResourceClaims and ResourceClaimTemplates that are there. */
    readonly claims?: readonly KubeObject[];
    readonly user?: string;
    readonly groups?: readonly string[];
    /** An UPDATE of this object, given as in `input`; left out: a CREATE. */
    readonly old?: Case['input'];
    readonly subResource?: string;
    /** Reasons whose facts the case shows; left out: the reason that its file is named after, if it is one of node-conformance. */
    readonly facts?: readonly Reason[];
  };
  readonly expected: Expected;
}

export interface NodeEntry {
  readonly node?: string;
  readonly object?: KubeObject;
  readonly tweak?: readonly Operation[];
}

/** What every entry (core, HTTP, CLI) must answer. */
export interface Expected {
  readonly allowed: boolean;
  readonly status?: { readonly code: number; readonly reason: string; readonly message: string };
  /** `rule/reason enforcement field`. */
  readonly findings: readonly string[];
  readonly warnings: readonly string[];
  readonly patch: readonly unknown[];
  readonly exemptions?: readonly string[];
  /**
   * `reason verdict has`, of a node: `meets` and `unknown` have no finding, and would look alike. `none` where the fact does not apply.
   * Not in the answer to a review: the entries core and CLI show them.
   */
  readonly facts?: readonly string[];
}

export interface CaseFile {
  readonly rule: string;
  readonly topic: string;
  readonly path: string;
  readonly cases: readonly Case[];
}

const root = join(import.meta.dirname, 'cases');

/** All case files: `cases/<rule id>/<reason or topic>.yaml`. */
export function readCaseFiles(): readonly CaseFile[] {
  return readdirSync(root)
    .sort()
    .flatMap((rule) =>
      readdirSync(join(root, rule))
        .sort()
        .map((file) => {
          const path = join(root, rule, file);
          return { rule, topic: file.replace(/\.yaml$/, ''), path, cases: parse(readFileSync(path, 'utf8')) };
        }),
    );
}

/** Writes the answers into a case file: `UPDATE_GOLDEN=1`, to be read before it is committed. */
export function writeCaseFile({ path }: CaseFile, cases: readonly Case[]): void {
  writeFileSync(path, stringify(cases, { lineWidth: 0, aliasDuplicateObjects: false }));
}

/** Lines of the facts that a case shows. */
export function factLines(shown: readonly Reason[], facts: readonly ShownFact[]): { facts?: readonly string[] } {
  if (shown.length === 0) return {};
  const lines = shown.map((wanted) => {
    const fact = facts.find(({ reason }) => reason === wanted);
    return fact === undefined ? `${wanted} none` : `${wanted} ${fact.verdict} ${fact.has}`.trimEnd();
  });
  return { facts: lines };
}

interface ShownFact {
  readonly reason: string;
  readonly verdict: string;
  readonly has: string;
}

/** The reasons whose facts a case shows. */
export function shownReasons({ rule, topic }: CaseFile, { context }: Case): readonly Reason[] {
  if (context?.facts !== undefined) return context.facts;
  return rule === 'node-conformance' ? reasons.filter((reason) => reason === topic) : [];
}

/** The object that a case is about. */
export function inputObject({ input }: Case): KubeObject {
  return objectOf(input);
}

/** The object before an UPDATE; undefined for a CREATE. */
export function oldObject({ context }: Case): KubeObject | undefined {
  return context?.old === undefined ? undefined : objectOf(context.old);
}

function objectOf(input: Case['input']): KubeObject {
  const object = tweaked(
    input.pod !== undefined
      ? podOf(input.pod)
      : input.node !== undefined
        ? fixtureNode(input.node)
        : (input.object ?? {}),
    input.tweak,
  );
  return input.repeat === undefined ? object : repeated(object, input.repeat);
}

function repeated(object: KubeObject, { path, times }: { readonly path: string; readonly times: number }): KubeObject {
  let item: unknown = object;
  for (const segment of path.split('/').slice(1)) item = Reflect.get(Object(item), segment);
  return tweaked(
    object,
    Array.from({ length: times }, () => ({ op: 'add' as const, path: path.replace(/[^/]*$/, '-'), value: item })),
  );
}

/** The live nodes of a case; undefined = offline. */
export function liveNodes({ context }: Case): readonly KubeObject[] | undefined {
  if (context?.nodes === undefined) return undefined;
  if (context.nodes === 'cluster') return clusterNodes();
  return context.nodes.map(({ node, object, tweak }) =>
    tweaked(node !== undefined ? fixtureNode(node) : (object ?? {}), tweak),
  );
}

/** The policy file of a case, as text. */
export function policyText({ context }: Case): string {
  return stringify({ apiVersion: 'osmo-admission/v1alpha1', kind: 'AdmissionPolicy', ...context?.policy });
}

function podOf(reference: string): KubeObject {
  const [file = '', index = '0'] = reference.split('#');
  const pod = osmoPods(file)[Number(index)];
  if (pod === undefined) throw new Error(`no pod ${reference}`);
  return pod;
}

function tweaked(object: KubeObject, tweak: readonly Operation[] = []): KubeObject {
  const result: unknown = apply(object, tweak);
  if (typeof result !== 'object' || result === null) throw new Error('a tweak left no object');
  return { ...result };
}
