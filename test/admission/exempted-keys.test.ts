import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { type Admission, createAdmit } from '../../src/admission/admit.ts';
import { createFixedNodes } from '../../src/cluster/nodes-file.ts';
import { createPolicyParser } from '../../src/config/parse.ts';
import { exemptedAnnotation } from '../../src/policy/exempted.ts';
import { fixedClaims } from '../../src/policy/model/claims.ts';
import { readRequest } from '../../src/policy/model/read-request.ts';
import type { Phase } from '../../src/policy/model/request.ts';
import { offlinePods } from '../../src/policy/model/snapshot.ts';
import { rules } from '../../src/policy/rules/index.ts';
import type { KeyPair } from '../../src/server/certificates.ts';
import { createNoteKeeper } from '../../src/server/note-keeper.ts';

/*
 * Replicas that hold serving certificates with different private keys: a Secret that is mounted reaches pods up to 90 s apart. Each request may be
 * mutated by one and validated by the other.
 */

const policy = createPolicyParser({ rules })(
  stringify({
    apiVersion: 'osmo-admission/v1alpha1',
    kind: 'AdmissionPolicy',
    exemptions: [
      { reason: 'debugging', users: ['debugging'] },
      { reason: 'placed by hand', users: ['placer'], rules: ['placement'] },
    ],
  }),
  'policy.yaml',
);

interface Replica {
  review(phase: Phase, user: string, object: object, old?: object): Promise<Admission>;
  /** It gets a certificate with another key. */
  rekey(key: string): void;
}

function replicaWith(key: string): Replica {
  const pairOf = (text: string): KeyPair => ({
    ...{ cert: Buffer.from(''), expiresAt: 0, fingerprint: '' },
    key: Buffer.from(text),
  });
  let change: (pair: KeyPair) => void = () => undefined;
  const admit = createAdmit({
    rules,
    policy: () => policy,
    nodes: createFixedNodes(new Map()),
    pods: offlinePods,
    notes: createNoteKeeper({
      current: () => pairOf(key),
      onChange: (listener) => {
        change = listener;
      },
    }),
    classesOf: fixedClaims([], ''),
    now: () => 0,
    monotonic: () => 0,
  });
  return {
    rekey: (text) => change(pairOf(text)),
    review: async (phase, user, object, old) =>
      admit(
        phase,
        readRequest({
          uid: 'u',
          operation: old === undefined ? 'CREATE' : 'UPDATE',
          kind: { group: '', version: 'v1', kind: 'Pod' },
          resource: { group: '', version: 'v1', resource: 'pods' },
          ...{ name: 'p', namespace: 'osmo-workflows', userInfo: { username: user, groups: [] } },
          ...{ object, ...(old !== undefined && { oldObject: old }) },
        }),
        1_000,
      ),
  };
}

const onOps = { nodeSelector: { 'node-type': 'operator' } };

function podWith(note: string | undefined, spec: object = onOps): object {
  const annotations = note === undefined ? {} : { [exemptedAnnotation]: note };
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'osmo-workflows', annotations } },
    spec: { containers: [{ name: 'c', image: 'x' }], ...spec },
  };
}

/** The note that a replica puts on a pod of a user. */
async function noteBy(replica: Replica, user: string): Promise<string | undefined> {
  const { evaluation } = await replica.review('mutate', user, podWith(undefined));
  for (const edit of evaluation.edits) {
    if (edit.edit === 'setAnnotation' && edit.key === exemptedAnnotation) return edit.value;
  }
  return undefined;
}

const denials = ({ evaluation }: Admission): readonly string[] =>
  evaluation.findings
    .filter(({ enforcement }) => enforcement === 'enforce')
    .map(({ rule, reason }) => `${rule}/${reason}`);

/** What a replica says to somebody who lets a pod that bears a note tolerate the operator's taint, too. */
async function updateBy(replica: Replica, note: string | undefined): Promise<readonly string[]> {
  const tolerations = [{ key: 'node-type', operator: 'Exists' }];
  return denials(await replica.review('validate', 'author', podWith(note, { ...onOps, tolerations }), podWith(note)));
}

describe('a pod of an exempt user, at its creation', () => {
  it('is admitted whichever replicas mutate and validate it, before, while and after their keys change', async () => {
    const replicas = [replicaWith('old'), replicaWith('old')] as const;
    const said = async (): Promise<void> => {
      for (const mutating of replicas) {
        for (const validating of replicas) {
          const note = await noteBy(mutating, 'debugging');
          expect(note).toMatch(/^all\.[0-9a-f]{32}$/);
          expect(denials(await validating.review('validate', 'debugging', podWith(note)))).toEqual([]);
        }
      }
    };
    await said();
    replicas[0].rekey('new');
    await said();
    replicas[1].rekey('new');
    await said();
  });

  it('is admitted by one that was started anew meanwhile, and knows no key but its own', async () => {
    const note = await noteBy(replicaWith('old'), 'debugging');
    expect(denials(await replicaWith('new').review('validate', 'debugging', podWith(note)))).toEqual([]);
  });

  it('is told where the replica that validates cannot verify the note: there it would not count', async () => {
    const [old, fresh] = [replicaWith('old'), replicaWith('old')];
    fresh.rekey('new');
    const warned = async (validating: Replica, note: string | undefined): Promise<boolean> =>
      (await validating.review('validate', 'debugging', podWith(note))).evaluation.warnings.some((text) =>
        text.includes('another key'),
      );
    const [byOld, byFresh] = [await noteBy(old, 'debugging'), await noteBy(fresh, 'debugging')];
    expect(await warned(old, byFresh)).toBe(true);
    expect([await warned(fresh, byOld), await warned(old, byOld), await warned(fresh, byFresh)]).toEqual([
      ...[false, false, false],
    ]);
  });
});

describe('a note that its creator has no right to', () => {
  it('is denied at creation, whichever replica signed it', async () => {
    const [old, fresh] = [replicaWith('old'), replicaWith('new')];
    const stolen = await noteBy(old, 'debugging');
    for (const validating of [old, fresh]) {
      expect(denials(await validating.review('validate', 'author', podWith(stolen)))).toContain('exemptions/forged');
      expect(denials(await validating.review('validate', 'placer', podWith(stolen)))).toContain('exemptions/forged');
      for (const note of ['all', 'all.', `all.${'0'.repeat(32)}`, 'unsigned', '']) {
        expect(denials(await validating.review('validate', 'placer', podWith(note)))).toContain('exemptions/forged');
      }
    }
  });

  it('counts for nothing where no replica signed it, also on a pod whose creator is exempt', async () => {
    const replica = replicaWith('key');
    for (const note of ['all', 'all.', `all.${'0'.repeat(32)}`]) {
      expect(denials(await replica.review('validate', 'debugging', podWith(note)))).toEqual([]);
      expect(await updateBy(replica, note)).toContain('operator-node-guard/tolerates');
    }
  });
});

describe('a note, after the creation', () => {
  it('counts with a replica that signs with its key, or did before', async () => {
    const replica = replicaWith('old');
    const note = await noteBy(replica, 'debugging');
    expect(await updateBy(replica, note)).toEqual([]);
    replica.rekey('new');
    expect(await updateBy(replica, note)).toEqual([]);
  });

  it('counts for nothing with one that has not seen its key yet, or no more: it is judged as anyone’s', async () => {
    const [behind, ahead] = [replicaWith('old'), replicaWith('new')];
    const note = await noteBy(ahead, 'debugging');
    expect(await updateBy(behind, note)).toContain('operator-node-guard/tolerates');
    behind.rekey('new');
    expect(await updateBy(behind, note)).toEqual([]);
    expect(await updateBy(ahead, await noteBy(replicaWith('old'), 'debugging'))).toContain(
      'operator-node-guard/tolerates',
    );
  });
});
