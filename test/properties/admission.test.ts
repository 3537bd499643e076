import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { type Admission, createAdmit } from '../../src/admission/admit.ts';
import { parseNodes } from '../../src/cluster/nodes-file.ts';
import { createPolicyParser } from '../../src/config/parse.ts';
import type { ClaimClasses } from '../../src/policy/model/claims.ts';
import { unsignedNotes } from '../../src/policy/model/notes.ts';
import type { CompiledPolicy } from '../../src/policy/model/policy.ts';
import { readRequest } from '../../src/policy/model/read-request.ts';
import type { Phase } from '../../src/policy/model/request.ts';
import { offlinePods, type SnapshotState } from '../../src/policy/model/snapshot.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { apply } from '../support/json-patch.ts';
import { claimUniverse, cluster, pod } from './arbitraries.ts';
import { canRunOn, isOperator } from './naive-scheduler.ts';

const parser = createPolicyParser({ rules });
const policyOf = (sections: object): CompiledPolicy =>
  parser(stringify({ apiVersion: 'osmo-admission/v1alpha1', kind: 'AdmissionPolicy', ...sections }), 'policy.yaml');

const defaults = policyOf({});
const policies: readonly CompiledPolicy[] = [
  defaults,
  policyOf({ preset: 'monitor' }),
  policyOf({ rules: { placement: { enforcement: 'warn' } } }),
  policyOf({ rules: { placement: { skipSchedulers: ['skipped'] } } }),
  policyOf({
    nodes: { types: { other: 'shared', gpu: 'operator' }, operatorTaints: [{ key: 'ops' }] },
    profiles: [{ name: 'all', match: {}, tolerations: [] }],
  }),
  policyOf({ nodes: { types: { other: 'gpu' } } }),
  policyOf({ nodes: { types: { operator: null } } }),
  policyOf({
    profiles: [
      { name: 'nic', match: { deviceClasses: ['nic.example.com'] }, nodeType: 'compute', tolerations: [] },
      { name: 'all', match: {}, tolerations: [] },
    ],
  }),
];

interface World {
  readonly policy: CompiledPolicy;
  readonly nodes: readonly object[];
  readonly state?: SnapshotState;
  readonly claims?: Readonly<Record<string, ClaimClasses>>;
}

function ask(
  { policy, nodes, state = 'synced', claims = claimUniverse }: World,
  phase: Phase,
  object: unknown,
): Admission {
  const known = parseNodes(JSON.stringify({ apiVersion: 'v1', kind: 'NodeList', items: nodes }), 'nodes.json');
  const snapshot = { state, nodes: known, resourceVersion: '1', confirmedAtMs: 0 };
  const admit = createAdmit({
    rules,
    policy: () => policy,
    // A thenable that answers at once would hide a look-up: this source is only asked for nodes that the snapshot lacks.
    nodes: { snapshot: () => snapshot, lookUp: () => Promise.resolve({ state: 'absent' }) },
    pods: offlinePods,
    notes: unsignedNotes,
    classesOf: (_namespace, { name }) => claims[name] ?? { state: 'off' },
    now: () => 1_000,
    monotonic: () => 0,
  });
  const request = readRequest({
    uid: 'u',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    resource: { group: '', version: 'v1', resource: 'pods' },
    namespace: 'osmo-workflows',
    operation: 'CREATE',
    userInfo: { username: 'alice' },
    object,
  });
  const admission = admit(phase, request, 1_000);
  if (admission instanceof Promise) throw new Error('a look-up: use askLater');
  return admission;
}

/** A pod bound to a node that is not in the cluster needs a look-up, which these synchronous properties leave out. */
const known = fc.tuple(pod, cluster).filter(([{ spec }, nodes]) => {
  const name = Reflect.get(spec, 'nodeName');
  return name === undefined || name === '' || nodes.some(({ metadata }) => metadata.name === name);
});

const runs = { numRuns: 1_500 };

describe('admission of any pod', () => {
  it('never throws, leaves the input untouched, and answers the same twice', () => {
    fc.assert(
      fc.property(
        known,
        fc.constantFrom(...policies),
        fc.constantFrom<Phase>('mutate', 'validate'),
        ([object, nodes], policy, phase) => {
          const before = JSON.stringify(object);
          const first = ask({ policy, nodes }, phase, object);
          const second = ask({ policy, nodes }, phase, object);
          expect(JSON.stringify(second)).toBe(JSON.stringify(first));
          expect(JSON.stringify(object)).toBe(before);
        },
      ),
      runs,
    );
  });

  it('patches only while mutating, denies only while validating, and never both', () => {
    fc.assert(
      fc.property(known, fc.constantFrom(...policies), ([object, nodes], policy) => {
        expect(ask({ policy, nodes }, 'mutate', object).response.allowed).toBe(true);
        const { response } = ask({ policy, nodes }, 'validate', object);
        expect(response.patch).toBeUndefined();
        expect(response.patchType).toBeUndefined();
        expect(response.status === undefined).toBe(response.allowed);
      }),
      runs,
    );
  });

  it('makes a patch that applies to that very object, and nothing more on the second pass', () => {
    fc.assert(
      fc.property(known, fc.constantFrom(...policies), ([object, nodes], policy) => {
        const { patch } = ask({ policy, nodes }, 'mutate', object);
        const patched = apply(object, patch);
        expect(ask({ policy, nodes }, 'mutate', patched).patch).toEqual([]);
      }),
      runs,
    );
  });

  it('only adds: what the author wrote is still there, in its order', () => {
    fc.assert(
      fc.property(known, fc.constantFrom(...policies), ([object, nodes], policy) => {
        const patched: unknown = apply(object, ask({ policy, nodes }, 'mutate', object).patch);
        expect(contains(patched, object)).toBe(true);
      }),
      runs,
    );
  });

  it('writes warnings without line breaks or tabs, at most 120 characters each', () => {
    fc.assert(
      fc.property(known, fc.constantFrom(...policies), ([object, nodes], policy) => {
        for (const warning of ask({ policy, nodes }, 'validate', object).response.warnings ?? []) {
          expect(warning).not.toMatch(/[\n\r\t]/);
          expect(warning.length).toBeLessThanOrEqual(120);
        }
      }),
      runs,
    );
  });

  it('places a claim of a GPU class as a request for a GPU, and one that is unknown or off as none', () => {
    const without = ({ spec, ...rest }: object & { spec: object }, more: object): object => ({
      ...rest,
      spec: { ...spec, resourceClaims: null, ...more },
    });
    const claimOf = (name: string): object => ({ resourceClaims: [{ name: 'r', resourceClaimTemplateName: name }] });
    fc.assert(
      fc.property(known, ([object, nodes]) => {
        const patchOf = (more: object): unknown =>
          ask({ policy: defaults, nodes }, 'mutate', without(object, more)).patch;
        expect(patchOf(claimOf('gpu'))).toEqual(patchOf({ resources: { limits: { 'nvidia.com/gpu': '1' } } }));
        for (const name of ['nic', 'late', 'absent']) expect(patchOf(claimOf(name))).toEqual(patchOf({}));
      }),
      runs,
    );
  });

  it('under monitor allows everything and patches nothing', () => {
    const policy = policyOf({ preset: 'monitor' });
    fc.assert(
      fc.property(known, ([object, nodes]) => {
        expect(ask({ policy, nodes }, 'mutate', object).patch).toEqual([]);
        expect(ask({ policy, nodes }, 'validate', object).response.allowed).toBe(true);
      }),
      runs,
    );
  });
});

describe('no admitted workflow pod can run on an operator node', () => {
  /** Whether some pod that both passes admit could still run on an operator node of the cluster. */
  const escapes = (
    object: unknown,
    nodes: readonly object[],
    policy: CompiledPolicy,
    mutate: boolean,
    state: SnapshotState,
  ): boolean => {
    const final = mutate ? apply(object, ask({ policy, nodes, state }, 'mutate', object).patch) : object;
    if (!ask({ policy, nodes, state }, 'validate', final).response.allowed) return false;
    return nodes.some((node) => isOperator(node) && canRunOn(final, node));
  };
  const mirrorless = known.filter(([object]) => !JSON.stringify(object).includes('config.mirror'));

  it('with mutation and validation', () => {
    fc.assert(
      fc.property(mirrorless, fc.constantFrom<SnapshotState>('synced', 'stale'), ([object, nodes], state) => {
        expect(escapes(object, nodes, defaults, true, state)).toBe(false);
      }),
      { numRuns: 4_000 },
    );
  });

  it('with validation alone: the guard does not trust that mutation ran', () => {
    fc.assert(
      fc.property(mirrorless, ([object, nodes]) => {
        expect(escapes(object, nodes, defaults, false, 'synced')).toBe(false);
      }),
      { numRuns: 4_000 },
    );
  });

  it('also when the operator node registers only after the pod was admitted', () => {
    fc.assert(
      fc.property(mirrorless, ([object, nodes]) => {
        if (Reflect.get(object.spec, 'nodeName') !== undefined && Reflect.get(object.spec, 'nodeName') !== '') return;
        const world = { policy: defaults, nodes: [], state: 'synced' as const };
        const final = apply(object, ask(world, 'mutate', object).patch);
        if (!ask(world, 'validate', final).response.allowed) return;
        // A matchFields term may name a node that was no operator node then: the exclusion still keeps the pod off by label.
        expect(nodes.filter((node) => isOperator(node) && canRunOn(final, node))).toEqual([]);
      }),
      { numRuns: 4_000 },
    );
  });

  it('and the generator bites: with the guard off it finds a pod that can', () => {
    const off = policyOf({ rules: { 'operator-node-guard': { enforcement: 'off' } } });
    const found = fc.check(
      fc.property(mirrorless, ([object, nodes]) => !escapes(object, nodes, off, true, 'synced')),
      { numRuns: 4_000 },
    );
    expect(found.failed).toBe(true);
  });

  it('and with placement off too it finds one without any toleration', () => {
    const off = policyOf({
      rules: { 'operator-node-guard': { enforcement: 'off' }, placement: { enforcement: 'off' } },
    });
    const found = fc.check(
      fc.property(mirrorless, ([object, nodes]) => {
        const tolerates = Reflect.get(object.spec, 'tolerations');
        return (Array.isArray(tolerates) && tolerates.length > 0) || !escapes(object, nodes, off, true, 'synced');
      }),
      { numRuns: 4_000 },
    );
    expect(found.failed).toBe(true);
  });
});

/** Everything of `part` is in `whole`: members by key, list entries in the same places from the start. Null counts as absent. */
function contains(whole: unknown, part: unknown): boolean {
  if (part === null) return true;
  if (typeof part !== 'object') return whole === part;
  if (typeof whole !== 'object' || whole === null) return false;
  return Object.entries(part).every(
    ([key, value]) => value === null || value === undefined || contains(Reflect.get(whole, key), value),
  );
}
