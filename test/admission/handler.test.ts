import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { createAdmit } from '../../src/admission/admit.ts';
import { createReviewHandler } from '../../src/admission/handler.ts';
import { canonicalize } from '../../src/audit/canonical.ts';
import { link } from '../../src/audit/chain.ts';
import { noHash } from '../../src/audit/line.ts';
import { auditLineSchema } from '../../src/audit/schema.ts';
import { compileDefaults } from '../../src/config/parse.ts';
import type { Answer } from '../../src/policy/model/handler.ts';
import { unsignedNotes } from '../../src/policy/model/notes.ts';
import type { AuditRecord } from '../../src/policy/model/record.ts';
import type { Phase } from '../../src/policy/model/request.ts';
import { type NodeLookup, type NodeSource, offlineNodes, offlinePods } from '../../src/policy/model/snapshot.ts';
import type { BoundRule } from '../../src/policy/rule.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { fixtureNode, osmoPod } from '../support/fixtures.ts';

interface Harness {
  readonly records: AuditRecord[];
  readonly failures: string[];
  readonly logged: string[];
  ask(body: string | Uint8Array, phase?: Phase): Promise<Answer>;
}

function harness({
  nodes = offlineNodes,
  list = rules,
  until,
  monotonic = () => 0,
}: {
  nodes?: NodeSource;
  list?: readonly BoundRule[];
  until?: (deadlineMs: number) => Promise<string | undefined>;
  monotonic?: () => number;
} = {}): Harness {
  const policy = compileDefaults({ rules: list });
  const records: AuditRecord[] = [];
  const failures: string[] = [];
  const logged: string[] = [];
  const handler = createReviewHandler({
    admit: createAdmit({
      rules: list,
      policy: () => policy,
      nodes,
      pods: offlinePods,
      notes: unsignedNotes,
      now: () => Date.UTC(2026, 10, 25),
      monotonic: () => 0,
    }),
    rules: list,
    audit: {
      write: (record, deadlineMs) => {
        records.push(record);
        return { hash: `hash-of-record-${records.length}`, ...(until !== undefined && { until: until(deadlineMs) }) };
      },
    },
    monotonic,
    observer: { decided: () => undefined, failed: (kind) => void failures.push(kind) },
    log: (_level, message, fields) => void logged.push(`${message} ${JSON.stringify(fields)}`),
  });
  return {
    records,
    failures,
    logged,
    ask: async (body, phase = 'validate') => handler(phase, typeof body === 'string' ? Buffer.from(body) : body, 1_000),
  };
}

const request = (over: object = {}): Record<string, unknown> => ({
  uid: 'u-1',
  kind: { group: '', version: 'v1', kind: 'Pod' },
  resource: { group: '', version: 'v1', resource: 'pods' },
  namespace: 'osmo-workflows',
  operation: 'CREATE',
  userInfo: { username: 'alice', groups: ['dev'] },
  object: osmoPod('chart-default-cpu'),
  ...over,
});
const review = (over: object = {}, outer: object = {}): string =>
  JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: request(over), ...outer });
const podWith = (spec: object, metadata: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', ...metadata },
  spec: { containers: [], ...spec },
});
const nodeRequest = (object: object): object => ({
  kind: { group: '', version: 'v1', kind: 'Node' },
  resource: { group: '', version: 'v1', resource: 'nodes' },
  namespace: '',
  object,
});

describe('what cannot be judged is a 400 with the reason, and the next review is served', () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  const bad: readonly (readonly [string, string | Uint8Array, string])[] = [
    ['nothing', '', 'the document: is empty'],
    ['no JSON', 'hello', 'the document: is not JSON'],
    ['truncated JSON', review().slice(0, 200), 'the document: is'],
    ['no UTF-8', Buffer.from([0xff, 0xfe, 0x00]), 'is not UTF-8'],
    ['a list', '[]', 'must be an AdmissionReview object, not a list'],
    ['null', 'null', 'must be an AdmissionReview object, not null'],
    ['a number', '7', 'not a number'],
    ['deep nesting alone', deep, 'must be an AdmissionReview object'],
    ['another kind', review({}, { kind: 'Pod' }), 'kind: is "Pod", must be AdmissionReview'],
    [
      'v1beta1',
      review({}, { apiVersion: 'admission.k8s.io/v1beta1' }),
      'apiVersion: is "admission.k8s.io/v1beta1", must be admission.k8s.io/v1: set admissionReviewVersions',
    ],
    ['no request', review({}, { request: undefined }), 'request: is missing'],
    ['a null request', review({}, { request: null }), 'request: is missing'],
    ['no uid', review({ uid: undefined }), 'request.uid: is missing'],
    ['a uid of a wrong type', review({ uid: 5 }), 'request.uid: must be a string, not a number'],
    ['an unknown operation', review({ operation: 'PATCH' }), 'request.operation: is "PATCH", must be one of CREATE'],
    ['a null object', review({ object: null }), 'request.object: is null, but CREATE of pods has an object'],
    ['an object that is a list', review({ object: [] }), 'request.object: must be an object, not a list'],
    [
      'resource and kind that disagree',
      review({ resource: { group: '', version: 'v1', resource: 'nodes' } }),
      'request.kind.kind: is Pod, but resource nodes holds Node objects',
    ],
    [
      'kind and object that disagree',
      review({ object: { ...osmoPod('chart-default-cpu'), kind: 'Node' } }),
      'request.object.kind: is Node, but request.kind says Pod',
    ],
    [
      'version and object that disagree',
      review({ object: { ...osmoPod('chart-default-cpu'), apiVersion: 'apps/v1' } }),
      'request.object.apiVersion: is apps/v1',
    ],
    ['a pod without a namespace', review({ namespace: undefined }), 'request.namespace: is empty'],
    [
      'a resource that no rule covers',
      review({
        kind: { group: '', version: 'v1', kind: 'ConfigMap' },
        resource: { group: '', version: 'v1', resource: 'configmaps' },
        object: { kind: 'ConfigMap' },
      }),
      'request.resource: no rule covers configmaps',
    ],
    [
      'tolerations that are no list',
      review({ object: podWith({ tolerations: {} }) }),
      'request.object.spec.tolerations: must be a list, not an object',
    ],
    [
      'a toleration that is a string',
      review({ object: podWith({ tolerations: ['ops'] }) }),
      'request.object.spec.tolerations[0]: must be an object, not a string',
    ],
    [
      'a number as a string',
      review({ object: podWith({ tolerations: [{ tolerationSeconds: '300' }] }) }),
      'tolerations[0].tolerationSeconds: must be an integer, not a string',
    ],
    [
      'a label that is a number',
      review({ object: podWith({}, { labels: { a: 1 } }) }),
      'request.object.metadata.labels[a]: must be a string, not a number',
    ],
    [
      'an invalid quantity',
      review({ object: podWith({ containers: [{ resources: { limits: { 'nvidia.com/gpu': 'None' } } }] }) }),
      'spec.containers[0].resources.limits[nvidia.com/gpu]: "None" is no quantity',
    ],
    [
      'resource claims that are no list',
      review({ object: podWith({ resourceClaims: {} }) }),
      'request.object.spec.resourceClaims: must be a list, not an object',
    ],
    [
      'a resource claim whose name is a number',
      review({ object: podWith({ resourceClaims: [{ resourceClaimName: 7 }] }) }),
      'request.object.spec.resourceClaims[0].resourceClaimName: must be a string, not a number',
    ],
    [
      'a term of a wrong type',
      review({
        object: podWith({
          affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [3] } } },
        }),
      }),
      'nodeSelectorTerms[0]: must be an object, not a number',
    ],
    [
      'a node without a name',
      review(nodeRequest({ kind: 'Node', apiVersion: 'v1', metadata: {} })),
      'request.object.metadata.name: is missing',
    ],
    [
      'a node with wrong taints',
      review(nodeRequest({ kind: 'Node', apiVersion: 'v1', metadata: { name: 'n' }, spec: { taints: [7] } })),
      'request.object.spec.taints[0]: must be an object',
    ],
  ];
  for (const [name, body, message] of bad) {
    it(name, async () => {
      const { ask, failures, records } = harness();
      const answer = await ask(body);
      expect(answer.status).toBe(400);
      const status: { kind: string; message: string; code: number } = JSON.parse(answer.body);
      expect(status).toMatchObject({ kind: 'Status', code: 400 });
      expect(status.message).toContain(message);
      expect(failures).toEqual(['malformed']);
      expect(records).toEqual([]);
      expect((await ask(review())).status).toBe(200);
    });
  }

  it('never writes what it refuses into the log', async () => {
    const { ask, logged } = harness();
    await ask(`{"secret": "hunter2", ${'x'.repeat(100)}`);
    await ask(review({ object: podWith({ tolerations: 'hunter2' }) }));
    await ask(review({ operation: `hunter2 ${'y'.repeat(10_000)}` }));
    expect(logged).toHaveLength(3);
    expect(logged[0]).not.toContain('hunter2');
    expect(logged[1]).not.toContain('hunter2');
    expect(logged.join('').length).toBeLessThan(2_000);
  });
});

describe('odd input that can be judged', () => {
  it('takes the last of duplicate keys, as the API server’s decoder does', async () => {
    const { ask, records } = harness();
    const answer = await ask(review().replace('"operation":"CREATE"', '"operation":"DELETE","operation":"CREATE"'));
    expect(answer.status).toBe(200);
    expect(records[0]?.verb).toBe('create');
  });

  it('treats __proto__ and constructor as keys like any other', async () => {
    const { ask, records } = harness();
    const hostile = review({ object: podWith({ nodeSelector: { a: 'b' } }, { labels: { constructor: 'x' } }) }).replace(
      '"nodeSelector":{"a":"b"}',
      '"nodeSelector":{"__proto__":"operator","toString":"x"},"__proto__":{"tolerations":[{"operator":"Exists"}]}',
    );
    expect((await ask(hostile)).status).toBe(200);
    expect(records[0]?.findings.map(({ reason }) => reason)).not.toContain('tolerates');
    expect(({} as Record<string, unknown>).tolerations).toBeUndefined();
  });

  it('judges 10,000 tolerations and 10,000 terms, in a message of bounded length', async () => {
    const { ask, records } = harness();
    const tolerations = Array.from({ length: 10_000 }, (_, i) => ({
      key: i % 2 === 0 ? 'ops' : `k${i}`,
      operator: 'Exists',
    }));
    const nodeSelectorTerms = Array.from({ length: 10_000 }, (_, i) => ({
      matchExpressions: [{ key: 'rack', operator: 'In', values: [`r${i}`] }],
    }));
    const answer = await ask(
      review({
        object: podWith({
          tolerations,
          affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } },
        }),
      }),
    );
    expect(answer.status).toBe(200);
    expect(records[0]?.decision).toBe('deny');
    expect(records[0]?.findings[0]?.message).toContain('and 4997 more do');
    expect(JSON.stringify(records[0]).length).toBeLessThan(20_000);
  });

  it('judges 20,000 pairs with 20,000 terms, and two lists of 100,000 values: no product of the two is made', async () => {
    const { ask } = harness();
    const values = Array.from({ length: 100_000 }, (_, i) => `v${i}`);
    const required = (nodeSelectorTerms: readonly object[]): object => ({
      affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } },
    });
    const pairs = {
      nodeSelector: Object.fromEntries(values.slice(0, 20_000).map((value) => [value, 'x'])),
      ...required(
        values.slice(0, 20_000).map((value) => ({ matchExpressions: [{ key: 'k', operator: 'In', values: [value] }] })),
      ),
    };
    const lists = required([
      {
        matchExpressions: [
          { key: 'k', operator: 'In', values },
          { key: 'k', operator: 'NotIn', values },
        ],
      },
    ]);
    for (const spec of [pairs, lists]) expect((await ask(review({ object: podWith(spec) }))).status).toBe(200);
  });

  it('judges an update of 80,000 tolerations that adds one: no product of old and new is made', async () => {
    const { ask, records } = harness();
    const had = Array.from({ length: 80_000 }, (_, i) => ({ key: `k${i}`, operator: 'Exists' }));
    const answer = await ask(
      review({
        operation: 'UPDATE',
        oldObject: podWith({ tolerations: had }),
        object: podWith({ tolerations: [...had, { key: 'ops', operator: 'Exists' }] }),
      }),
    );
    expect(answer.status).toBe(200);
    expect(records[0]?.findings[0]?.field).toBe('spec.tolerations[80000]');
  });

  it('answers millions of brackets', async () => {
    const { ask } = harness();
    expect((await ask('['.repeat(3_000_000))).status).toBe(400);
    expect((await ask(`${'['.repeat(3_000_000)}${']'.repeat(3_000_000)}`)).status).toBe(400);
    expect((await ask(review())).status).toBe(200);
  });

  it('judges deep nesting in fields that nobody reads', async () => {
    const { ask } = harness();
    const deep = `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`;
    expect((await ask(review().replace('"spec":{', `"spec":{"extra":${deep},`))).status).toBe(200);
  });

  it('allows a DELETE and a subresource, which no rule reads, with a record that says so', async () => {
    for (const over of [
      { operation: 'DELETE', object: null },
      {
        operation: 'CREATE',
        subResource: 'eviction',
        kind: { group: 'policy', version: 'v1', kind: 'Eviction' },
        object: { kind: 'Eviction', apiVersion: 'policy/v1' },
      },
    ]) {
      const { ask, records } = harness();
      const answer = await ask(review(over));
      expect(JSON.parse(answer.body).response).toMatchObject({ uid: 'u-1', allowed: true });
      expect(records[0]).toMatchObject({ decision: 'allow', rules: [] });
    }
  });
});

describe('the answer', () => {
  it('is an AdmissionReview v1 with the request’s uid; patch and patchType only together', async () => {
    const { ask } = harness();
    const body = JSON.parse((await ask(review(), 'mutate')).body);
    expect(body).toMatchObject({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: 'u-1', allowed: true, patchType: 'JSONPatch' },
    });
    expect(JSON.parse(Buffer.from(body.response.patch, 'base64').toString())).toHaveLength(1);
    const validated = JSON.parse((await ask(review())).body).response;
    expect(validated).not.toHaveProperty('patch');
    expect(validated).not.toHaveProperty('patchType');
  });

  it('annotates decision, rules and policy digest with keys that the API server keeps', async () => {
    const { ask } = harness();
    const { auditAnnotations } = JSON.parse((await ask(review())).body).response;
    expect(auditAnnotations).toEqual({
      decision: 'deny',
      rules: 'operator-node-guard,placement,exemptions',
      'policy-digest': compileDefaults({ rules }).digest,
      'record-hash': 'hash-of-record-1',
    });
    for (const key of Object.keys(auditAnnotations)) expect(key).toMatch(/^[A-Za-z0-9][A-Za-z0-9._-]*$/);
  });

  it('to a dry run is the same, and the record says so', async () => {
    const { ask, records } = harness();
    const real = JSON.parse((await ask(review())).body).response;
    const dry = JSON.parse((await ask(review({ dryRun: true }))).body).response;
    // The record is another one.
    for (const { auditAnnotations } of [real, dry]) delete auditAnnotations['record-hash'];
    expect(dry).toEqual(real);
    expect(records.map(({ dryRun }) => dryRun)).toEqual([false, true]);
  });

  it('denies a pod with code 403 and a new node with code 422 in one line', async () => {
    const { ask } = harness();
    const pod = JSON.parse(
      (
        await ask(
          review({
            object: podWith({ tolerations: [{ operator: 'Exists' }], nodeSelector: { 'node-type': 'operator' } }),
          }),
        )
      ).body,
    ).response.status;
    expect(pod).toMatchObject({ code: 403, reason: 'Forbidden' });
    expect(pod.message.split('\n')).toHaveLength(3);
    const info = { kubeletVersion: 'v1.20.0', containerRuntimeVersion: 'docker://1' };
    const node = JSON.parse(
      (await ask(review(nodeRequest({ ...fixtureNode('compute-1'), status: { nodeInfo: info } })))).body,
    ).response.status;
    expect(node).toMatchObject({ code: 422, reason: 'UnprocessableEntity' });
    expect(node.message).not.toContain('\n');
    expect(node.message).toContain('(node-conformance/kubernetes-version); ');
  });
});

describe('look-ups', () => {
  const watchThat = (lookup: NodeLookup): NodeSource & { asked: string[] } => {
    const asked: string[] = [];
    return {
      asked,
      snapshot: () => ({
        state: 'stale',
        nodes: new Map(),
        resourceVersion: '7',
        confirmedAtMs: Date.UTC(2026, 10, 24),
      }),
      lookUp: (name) => {
        asked.push(name);
        return Promise.resolve(lookup);
      },
    };
  };
  const excluded = {
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchExpressions: [{ key: 'node-type', operator: 'NotIn', values: ['operator'] }] }],
        },
      },
    },
  };
  const oldNode = nodeRequest({ ...fixtureNode('compute-1'), status: { nodeInfo: { kubeletVersion: 'v1.20.0' } } });

  it('that fail for spec.nodeName are HTTP 500, counted, logged with the uid and recorded as an error', async () => {
    const { ask, failures, logged, records } = harness({
      nodes: watchThat({ state: 'unknown', why: 'HTTP 503: down' }),
    });
    const answer = await ask(review({ object: podWith({ ...excluded, nodeName: 'n-1' }) }));
    expect(answer.status).toBe(500);
    expect(JSON.parse(answer.body).message).toContain('HTTP 503: down');
    expect(failures).toEqual(['undecided']);
    expect(logged.join()).toContain('u-1');
    expect(records[0]).toMatchObject({
      decision: 'error',
      nodes: { state: 'stale', resourceVersion: '7', ageSeconds: 86_400 },
    });
  });

  it('that say absent deny spec.nodeName', async () => {
    const { ask, records } = harness({ nodes: watchThat({ state: 'absent' }) });
    await ask(review({ object: podWith({ ...excluded, nodeName: 'n-1' }) }));
    expect(
      records[0]?.findings.filter(({ enforcement }) => enforcement === 'enforce').map(({ reason }) => reason),
    ).toEqual(['bound']);
  });

  it('that fail never deny a node: it may exist', async () => {
    const { ask, records } = harness({ nodes: watchThat({ state: 'unknown', why: 'timeout' }) });
    expect(JSON.parse((await ask(review(oldNode))).body).response.allowed).toBe(true);
    expect(records[0]?.findings[0]).toMatchObject({ reason: 'kubernetes-version', enforcement: 'warn' });
  });

  it('that say absent deny a node, also where the index is stale: the API server has said so', async () => {
    const { ask } = harness({ nodes: watchThat({ state: 'absent' }) });
    expect(JSON.parse((await ask(review(oldNode))).body).response.allowed).toBe(false);
  });

  it('are not made for pods without nodeName, nor while mutating', async () => {
    const nodes = watchThat({ state: 'absent' });
    const { ask } = harness({ nodes });
    await ask(review());
    await ask(review({ object: podWith({ nodeName: 'n-1' }) }), 'mutate');
    await ask(review(oldNode), 'mutate');
    expect(nodes.asked).toEqual([]);
  });
});

describe('a fault of our own', () => {
  const faulty: readonly BoundRule[] = rules.map((rule) =>
    rule.id === 'placement'
      ? {
          ...rule,
          evaluate: () => {
            throw new Error('a bug');
          },
        }
      : rule,
  );

  it('is HTTP 500, so that failurePolicy decides; counted, and logged with the uid', async () => {
    const { ask, failures, logged } = harness({ list: faulty });
    const answer = await ask(review());
    expect(answer.status).toBe(500);
    expect(JSON.parse(answer.body).message).toContain('internal error while judging request u-1');
    expect(answer.body).not.toContain('a bug');
    expect(failures).toEqual(['internal']);
    expect(logged.join()).toContain('a bug');
    expect((await ask(review(nodeRequest(fixtureNode('compute-1'))))).status).toBe(200);
  });
});

describe('an answer that must wait for its record', () => {
  it('goes out when the record is there', async () => {
    let written: (why: string | undefined) => void = () => undefined;
    const { ask } = harness({ until: () => new Promise((resolve) => (written = resolve)) });
    let answered = false;
    const asking = ask(review()).then((answer) => {
      answered = true;
      return answer;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(answered).toBe(false);
    written(undefined);
    expect((await asking).status).toBe(200);
  });

  it('waits for what the look-ups have left of its time', async () => {
    const given: number[] = [];
    let nowMs = 0;
    const nodes: NodeSource = {
      snapshot: () => ({ state: 'synced', nodes: new Map(), resourceVersion: '1', confirmedAtMs: 0 }),
      lookUp: () => {
        nowMs = 700;
        return Promise.resolve({ state: 'absent' });
      },
    };
    const { ask } = harness({
      ...{ nodes, monotonic: () => nowMs },
      until: (deadlineMs) => {
        given.push(deadlineMs);
        return Promise.resolve(undefined);
      },
    });
    await ask(review());
    await ask(review({ object: podWith({ nodeName: 'n' }) }));
    expect(given).toEqual([1_000, 300]);
  });

  it('is HTTP 500 where the record cannot be written, so that failurePolicy decides', async () => {
    const { ask, failures } = harness({ until: () => Promise.resolve('no space left on device') });
    const answer = await ask(review());
    expect(answer.status).toBe(500);
    expect(JSON.parse(answer.body).message).toContain('the audit record could not be written: no space left on device');
    expect(failures).toEqual(['unrecorded']);
  });
});

describe('the audit record', () => {
  const valid = new Ajv2020({ strict: false }).compile(auditLineSchema);

  it('of every kind of decision follows its schema', async () => {
    const { ask, records } = harness();
    await ask(review(), 'mutate');
    await ask(review());
    await ask(review(nodeRequest(fixtureNode('compute-1'))));
    await ask(review({ operation: 'DELETE', object: null }));
    await ask(review({ namespace: 'kube-system', object: osmoPod('chart-default-cpu') }));
    const stale: NodeSource = {
      snapshot: () => ({ state: 'stale', nodes: new Map(), resourceVersion: '7', confirmedAtMs: 0 }),
      lookUp: () => Promise.resolve({ state: 'unknown', why: 'x' }),
    };
    const undecided = harness({ nodes: stale });
    await undecided.ask(review({ object: podWith({ nodeName: 'n' }) }));
    const all = [...records, ...undecided.records];
    expect(all.map(({ decision }) => decision)).toEqual(['allow', 'deny', 'allow', 'allow', 'allow', 'error']);
    const start = { cluster: '', replica: 'r', boot: 'b'.repeat(32), sequence: 0, previous: noHash };
    for (const record of all)
      expect(valid(JSON.parse(link(start, record).line)), JSON.stringify(valid.errors)).toBe(true);
  });

  it('is made in the order of its keys, as the log writes it', async () => {
    const { ask, records } = harness();
    await ask(review());
    await ask(review({ userInfo: { username: 'system:node:n', groups: ['system:nodes'] } }));
    for (const { user, objectRef, nodes, findings, exemptions } of records) {
      for (const part of [user, objectRef, nodes, ...findings, ...exemptions]) {
        expect(JSON.stringify(part)).toBe(canonicalize(part));
      }
    }
    expect(records.flatMap(({ findings }) => findings)).not.toEqual([]);
  });

  it('holds no environment, command or whole object, and bounded text', async () => {
    const { ask, records } = harness();
    const object = podWith(
      {
        containers: [{ name: 'c', env: [{ name: 'TOKEN', value: 'hunter2' }], command: ['hunter2'] }],
        tolerations: [{ key: 'ops', operator: 'Exists', value: 'v'.repeat(100_000) }],
      },
      { annotations: { secret: 'hunter2' } },
    );
    await ask(
      review({
        object,
        userInfo: { username: 'u'.repeat(100_000), groups: Array.from({ length: 10_000 }, (_, i) => `g${i}`) },
      }),
    );
    const line = JSON.stringify(records[0]);
    expect(line).not.toContain('hunter2');
    expect(line.length).toBeLessThan(6_000);
  });

  it('is one line whatever a user writes', async () => {
    const { ask, records } = harness();
    await ask(
      review({
        userInfo: { username: 'eve\n{"decision":"allow"}', groups: ['a\u2028b'] },
        object: podWith(
          { tolerations: [{ key: 'ops\nforged', operator: 'Exists' }, { operator: 'Exists' }] },
          { name: 'p\nforged' },
        ),
      }),
    );
    const line = JSON.stringify(records[0]);
    expect(line).not.toMatch(/[\n\r\u2028]/);
    expect(line).not.toContain('\\n{');
  });
});
