import supertest from 'supertest';
import { type Admission, createAdmit } from '../../src/admission/admit.ts';
import { createReviewHandler } from '../../src/admission/handler.ts';
import { createFixedNodes, parseNodes } from '../../src/cluster/nodes-file.ts';
import { createPolicyParser } from '../../src/config/parse.ts';
import { conformanceFacts } from '../../src/policy/facts/conformance.ts';
import type { Reason } from '../../src/policy/facts/reasons.ts';
import { type ClassesOf, fixedClaims } from '../../src/policy/model/claims.ts';
import { unsignedNotes } from '../../src/policy/model/notes.ts';
import type { CompiledPolicy } from '../../src/policy/model/policy.ts';
import { claimKindOf, readClaim } from '../../src/policy/model/read-claim.ts';
import { readRequest } from '../../src/policy/model/read-request.ts';
import type { AuditRecord } from '../../src/policy/model/record.ts';
import type { Phase } from '../../src/policy/model/request.ts';
import { type NodeSource, offlineNodes, offlinePods } from '../../src/policy/model/snapshot.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { createAdmissionEndpoint } from '../../src/server/admission-endpoint.ts';
import { createAdmissionListener, createApp } from '../../src/server/app.ts';
import { runCli } from '../support/cli.ts';
import { apply, type Operation } from '../support/json-patch.ts';
import { type Case, type Expected, factLines, inputObject, liveNodes, oldObject, policyText } from './case.ts';

/*
 * Three ways to ask the product about one case: the pure core, HTTP, and the command line. Each answers with what the case's
 * file expects, so that a difference between any two is a failed case.
 */

/** The clock of golden cases: 2026-11-25T12:00:00Z. */
const nowMs = Date.UTC(2026, 10, 25, 12);

const parser = createPolicyParser({ rules });

interface World {
  readonly admit: ReturnType<typeof createAdmit>;
  readonly policy: CompiledPolicy;
  readonly nodes: NodeSource;
}

export function worldOf(golden: Case): World {
  const policy = parser(policyText(golden), 'policy.yaml');
  const live = liveNodes(golden);
  const nodes = live === undefined ? offlineNodes : fileNodes(live);
  return {
    admit: createAdmit({
      rules,
      policy: () => policy,
      nodes,
      pods: offlinePods,
      notes: unsignedNotes,
      classesOf: knownClaims(golden),
      now: () => nowMs,
      monotonic: () => 0,
    }),
    policy,
    nodes,
  };
}

/** Claims as the watch reads them. */
function knownClaims({ context }: Case): ClassesOf {
  const claims = (context?.claims ?? []).map((claim) => {
    const kind = claimKindOf(String(claim.apiVersion), String(claim.kind));
    if (kind === undefined) throw new Error('no claim');
    return readClaim(kind, claim);
  });
  return fixedClaims(claims, 'there is none of that name');
}

/** Nodes as a --nodes file gives them. */
function fileNodes(live: readonly unknown[]): NodeSource {
  return createFixedNodes(
    parseNodes(JSON.stringify({ apiVersion: 'v1', kind: 'NodeList', items: live }), 'nodes.json'),
  );
}

/** A review as the API server would send it. */
export function reviewOf(golden: Case, object: unknown): Readonly<Record<string, unknown>> {
  const kind = String(Reflect.get(Object(object), 'kind'));
  const [group, version] = `/${Reflect.get(Object(object), 'apiVersion')}`.split('/').slice(-2);
  const old = oldObject(golden);
  const metadata: unknown = Reflect.get(Object(object), 'metadata');
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: '0b4f2a2e-0000-4000-8000-000000000000',
      kind: { group, version, kind },
      // The plural of every kind that a rule reads is regular.
      resource: { group, version, resource: `${kind.toLowerCase()}s` },
      ...(golden.context?.subResource !== undefined && { subResource: golden.context.subResource }),
      name: Reflect.get(Object(metadata), 'name') ?? '',
      ...(kind !== 'Node' && { namespace: Reflect.get(Object(metadata), 'namespace') ?? 'default' }),
      operation: old === undefined ? 'CREATE' : 'UPDATE',
      userInfo: { username: golden.context?.user ?? '', groups: golden.context?.groups ?? [] },
      object,
      oldObject: old ?? null,
      dryRun: false,
    },
  };
}

/** @param shown reasons whose facts are part of the answer. */
export async function throughCore(golden: Case, shown: readonly Reason[]): Promise<Expected> {
  const { admit, policy, nodes } = worldOf(golden);
  const ask = async (phase: Phase, object: unknown): Promise<Admission> => {
    const review = reviewOf(golden, object);
    return admit(phase, readRequest(review.request), 1_000);
  };
  const object = inputObject(golden);
  const mutated = await ask('mutate', object);
  const patched = apply(object, mutated.patch);
  const validated = await ask('validate', patched);
  const { subject } = readRequest(reviewOf(golden, patched).request);
  const facts =
    subject?.kind === 'node'
      ? conformanceFacts(subject.node, policy, subject.old ?? nodes.snapshot().nodes.get(subject.node.name))
      : [];
  return {
    ...expectedOf([mutated.record, validated.record], mutated.patch, validated.response),
    ...factLines(shown, facts),
  };
}

/** An answer to a review holds no facts. */
export async function throughHttp(golden: Case): Promise<Omit<Expected, 'facts'>> {
  const records: AuditRecord[] = [];
  const handler = createReviewHandler({
    admit: worldOf(golden).admit,
    rules,
    audit: {
      write: (record) => {
        records.push(record);
        return { hash: '' };
      },
    },
    monotonic: () => 0,
    observer: { decided: () => undefined, failed: () => undefined },
    log: () => undefined,
  });
  const listener = createAdmissionListener(createAdmissionEndpoint({ handler, ...endpointDefaults }), createApp());
  const post = async (phase: Phase, object: unknown): Promise<Readonly<Record<string, unknown>>> => {
    const answer = await supertest(listener)
      .post(`/${phase}?timeout=5s`)
      .set('Content-Type', 'application/json')
      .send(JSON.stringify(reviewOf(golden, object)));
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
    const body: { response: Readonly<Record<string, unknown>> } = JSON.parse(answer.text);
    return body.response;
  };
  const object = inputObject(golden);
  const mutated = await post('mutate', object);
  const patch: Operation[] =
    typeof mutated.patch === 'string' ? JSON.parse(Buffer.from(mutated.patch, 'base64').toString()) : [];
  const response = await post('validate', apply(object, patch));
  if (records.length !== 2) throw new Error('not two audit records');
  return expectedOf(records, patch, response);
}

const endpointDefaults = { onClientError: () => undefined, now: () => 0 };

/** The case through `osmo-admission review -o json`, files and exit code included. */
export async function throughCli(
  golden: Case,
  shown: readonly Reason[],
  directory: { write(name: string, text: string): string },
): Promise<{ expected: Expected; exitCode: number }> {
  const live = liveNodes(golden);
  const args = [
    'review',
    '-o',
    'json',
    '-f',
    // Only a whole review says what was there before.
    directory.write(
      'object.json',
      JSON.stringify(oldObject(golden) === undefined ? inputObject(golden) : reviewOf(golden, inputObject(golden))),
    ),
    '--config',
    directory.write('policy.yaml', policyText(golden)),
  ];
  const claims = golden.context?.claims;
  if (claims !== undefined)
    args.push('-f', directory.write('claims.json', JSON.stringify({ apiVersion: 'v1', kind: 'List', items: claims })));
  if (live !== undefined)
    args.push(
      '--nodes',
      directory.write('nodes.json', JSON.stringify({ apiVersion: 'v1', kind: 'NodeList', items: live })),
    );
  if (golden.context?.user !== undefined) args.push('--as', golden.context.user);
  for (const group of golden.context?.groups ?? []) args.push('--as-group', group);
  const { code: exitCode, stdout, stderr } = await runCli(args, { nowMs });
  if (stdout === '') throw new Error(`exit ${exitCode}: ${stderr}`);
  const [result] = JSON.parse(stdout).results;
  if (result.error !== undefined) throw new Error(result.error);
  return {
    exitCode,
    expected: {
      allowed: result.outcome === 'admitted',
      ...(result.status !== undefined && { status: result.status }),
      findings: result.findings.map(findingLine),
      warnings: result.warnings,
      patch: result.patch,
      ...exemptionLines(result.exemptions),
      ...factLines(shown, result.facts),
    },
  };
}

function expectedOf(
  records: readonly AuditRecord[],
  patch: readonly unknown[],
  response: Readonly<Record<string, unknown>> | Admission['response'],
): Expected {
  const {
    allowed,
    status,
    warnings = [],
  }: { allowed: boolean; status?: Expected['status']; warnings?: readonly string[] } = JSON.parse(
    JSON.stringify(response),
  );
  return {
    allowed,
    ...(status !== undefined && { status }),
    findings: records.flatMap(({ findings }) => findings.map(findingLine)),
    warnings,
    patch: JSON.parse(JSON.stringify(patch)),
    ...exemptionLines(records.at(-1)?.exemptions ?? []),
  };
}

function findingLine({ rule, reason, enforcement, field }: AuditRecord['findings'][number]): string {
  return `${rule}/${reason} ${enforcement} ${field}`;
}

function exemptionLines(exemptions: AuditRecord['exemptions']): { exemptions?: readonly string[] } {
  return exemptions.length === 0
    ? {}
    : { exemptions: exemptions.map(({ reason, rules: exempted }) => `${reason}: ${exempted.join(', ')}`) };
}
