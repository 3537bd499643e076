import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { exemptedAnnotation } from '../../src/policy/exempted.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { install, startCluster } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import type { KubeObject } from '../support/fixtures.ts';
import { type OtherHook, startOtherHook } from './support/other-hook.ts';
import { kubeletPolicy } from './support/policy.ts';
import { author, gate, isExcluded, podOf, podsOf, prepareWays, storedPod, toOps, verdict } from './support/ways.ts';

/* Other mutating admission, which undoes what ours did: a webhook whose configuration sorts after ours, and a policy in the API server. */

let plane: ControlPlane;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  await install(plane, { policy: kubeletPolicy() });
  await prepareWays(plane);
}, 120_000);

afterAll(() => plane?.close(), 60_000);

/** Creates a gated pod, which no scheduler moves while it is looked at. */
const create = async (name: string, labels: object): Promise<string> =>
  verdict(await plane.api.send('POST', podsOf(), podOf(name, gate, { labels }), { as: author }));
const noteOf = async (name: string): Promise<unknown> =>
  (await storedPod(plane, name)).metadata.annotations?.[exemptedAnnotation];

describe('a mutating webhook that comes after ours', () => {
  let hook: OtherHook;
  beforeAll(async () => {
    hook = await startOtherHook(plane, 'late', {
      forge: [{ op: 'add', path: '/metadata/annotations', value: { [exemptedAnnotation]: 'all' } }],
      open: [{ op: 'replace', path: '/spec/affinity', value: {} }],
      tolerate: [{ op: 'add', path: '/spec/tolerations', value: [toOps] }],
    });
    // Until then what it does is not done.
    await eventually('it is called', async () => (await late('probe', 'tolerate')) !== 'admitted');
  });
  afterAll(() => hook?.close());

  const late = (name: string, what: string): Promise<string> => create(name, { 'late-hook': what });

  it('and is called again after ours, is seen by validation: forged note, missing exclusion, toleration', async () => {
    expect(await late('late', 'forge')).toBe('exemptions/forged');
    expect(await late('late', 'open')).toBe('operator-node-guard/selects');
    expect(await late('late', 'tolerate')).toBe('operator-node-guard/tolerates');
  });

  it('and is not, is undone by ours, which is called again', async () => {
    await hook.setReinvocation('Never');
    let made = 0;
    await eventually('the change is in force', async () => (await late(`late-${made++}`, 'forge')) === 'admitted');
    expect(await noteOf(`late-${made - 1}`)).toBeUndefined();
    expect(await late('late-open', 'open')).toBe('admitted');
    expect(isExcluded(await storedPod(plane, 'late-open'))).toBe(true);
    expect(await late('late', 'tolerate')).toBe('operator-node-guard/tolerates');
  });
});

/** In-process policies that mutate are v1 since 1.36. */
const hasMutatingPolicies = Number(inject('kubernetes').split('.')[1]) >= 36;

describe.skipIf(!hasMutatingPolicies)('a MutatingAdmissionPolicy', () => {
  it('that writes the note whenever it is called is undone: webhooks come after it', async () => {
    const expression = `Object{metadata: Object.metadata{annotations: {"${exemptedAnnotation}": "all", "seen": "yes"}}}`;
    await plane.apply(
      ['create', '-f', '-'],
      [
        {
          ...{ apiVersion: 'admissionregistration.k8s.io/v1', kind: 'MutatingAdmissionPolicy' },
          metadata: { name: 'forge' },
          spec: {
            failurePolicy: 'Fail',
            reinvocationPolicy: 'IfNeeded',
            matchConstraints: {
              objectSelector: { matchLabels: { policy: 'forge' } },
              resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], operations: ['CREATE'] }],
            },
            mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression } }],
          },
        },
        {
          ...{ apiVersion: 'admissionregistration.k8s.io/v1', kind: 'MutatingAdmissionPolicyBinding' },
          ...{ metadata: { name: 'forge' }, spec: { policyName: 'forge' } },
        },
      ],
    );
    let made = 0;
    const attempt = async (): Promise<KubeObject> => {
      const name = `by-policy-${made++}`;
      expect(await create(name, { policy: 'forge' })).toBe('admitted');
      return (await storedPod(plane, name)).metadata;
    };
    let last: KubeObject = {};
    await eventually('the policy is in force', async () => {
      last = await attempt();
      return Object(last.annotations).seen === 'yes';
    });
    expect(last.annotations).toEqual({ seen: 'yes' });
  });
});
