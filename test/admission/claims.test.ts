import { describe, expect, it } from 'vitest';
import { type Admission, createAdmit } from '../../src/admission/admit.ts';
import { compileDefaults } from '../../src/config/parse.ts';
import type { ClaimClasses } from '../../src/policy/model/claims.ts';
import { unsignedNotes } from '../../src/policy/model/notes.ts';
import type { Phase } from '../../src/policy/model/request.ts';
import { offlineNodes, offlinePods } from '../../src/policy/model/snapshot.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { podCreation } from '../support/pod-creation.ts';

const policy = compileDefaults({ rules });

/** Judges pods while what is known of their claims changes. */
function judgeBy(known: () => ClaimClasses): (phase: Phase, resourceClaims: readonly object[]) => Admission {
  const classesOf = (): ClaimClasses => known();
  const admit = createAdmit({
    ...{ rules, policy: () => policy, nodes: offlineNodes, classesOf, now: () => 0, monotonic: () => 0 },
    ...{ pods: offlinePods, notes: unsignedNotes },
  });
  return (phase, resourceClaims) => {
    const admission = admit(
      phase,
      podCreation({ metadata: { name: 'p' }, spec: { containers: [{ name: 'c' }], resourceClaims } }),
      1_000,
    );
    if (admission instanceof Promise) throw new Error('a claim costs no call');
    return admission;
  };
}

const claim = { name: 'r', resourceClaimTemplateName: 'gpu' };
const isGpu = ({ patch }: Admission): boolean => JSON.stringify(patch).includes('"node-type":"gpu"');
const findings = ({ record }: Admission): readonly string[] => record.findings.map(({ reason }) => reason);

describe('a pod that refers to a claim', () => {
  it('is judged by what is known at that moment, though the nodes are still the same', () => {
    let known: ClaimClasses = { state: 'unknown', why: 'claims are not listed yet' };
    const judge = judgeBy(() => known);
    expect(isGpu(judge('mutate', [claim]))).toBe(false);
    expect(findings(judge('validate', [claim]))).toContain('claim-unknown');
    known = { state: 'found', classes: ['gpu.nvidia.com'] };
    expect(isGpu(judge('mutate', [claim]))).toBe(true);
    expect(findings(judge('validate', [claim]))).not.toContain('claim-unknown');
  });

  it('is told why its claim is unknown, in the record', () => {
    const judge = judgeBy(() => ({ state: 'unknown', why: 'HTTP 403: not allowed' }));
    const { findings: found } = judge('validate', [claim]).record;
    expect(found.find(({ reason }) => reason === 'claim-unknown')?.message).toBe(
      'ResourceClaimTemplate gpu in namespace osmo-workflows is unknown (HTTP 403: not allowed), so the pod is placed by profile compute: if the claim asks for a device class of profile gpu, create it before the pod',
    );
  });

  it('is no gpu pod where the API server serves no claims, and is not bothered with it', () => {
    const judge = judgeBy(() => ({ state: 'off' }));
    expect(isGpu(judge('mutate', [claim]))).toBe(false);
    expect(judge('validate', [claim]).response.warnings).toBeUndefined();
  });

  it('with an entry that names neither claim nor template is not asked about', () => {
    const judge = judgeBy(() => {
      throw new Error('asked');
    });
    expect(isGpu(judge('mutate', [{ name: 'r' }]))).toBe(false);
  });

  it('of 10,000 claims that nobody knows gets one finding of bounded length', () => {
    const judge = judgeBy(() => ({ state: 'unknown', why: 'x'.repeat(10_000) }));
    const many = Array.from({ length: 10_000 }, (_, i) => ({ name: 'r', resourceClaimName: `${'n'.repeat(300)}${i}` }));
    const { record, response } = judge('validate', many);
    const found = record.findings.filter(({ reason }) => reason === 'claim-unknown');
    expect(found).toHaveLength(1);
    expect(found[0]?.message.length).toBeLessThan(600);
    expect(response.warnings?.some((line) => line.includes('and 9999 more unknown'))).toBe(true);
  });
});
