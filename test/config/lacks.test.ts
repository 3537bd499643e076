import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { createPolicyParser } from '../../src/config/parse.ts';
import { formatPath } from '../../src/config/source.ts';
import { lacksOf } from '../../src/policy/lacks.ts';
import { rules } from '../../src/policy/rules/index.ts';

const parser = createPolicyParser({ rules });
const now = Date.UTC(2026, 10, 25);

/** What a policy with these sections leaves open, beside what the defaults do. */
function lacks(sections: object = {}): readonly string[] {
  const text = (more: object): string =>
    stringify({ apiVersion: 'osmo-admission/v1alpha1', kind: 'AdmissionPolicy', ...more });
  const say = (more: object): readonly string[] =>
    lacksOf(parser(text(more), 'p'), rules, now).map(({ path, message }) => `${formatPath(path)} ${message}`);
  const usual = say({});
  return say(sections).filter((line) => !usual.includes(line));
}

describe('what a good policy leaves open', () => {
  it('is, by default, what no standard label states', () => {
    const paths = lacksOf(parser('apiVersion: osmo-admission/v1alpha1\nkind: AdmissionPolicy\n', 'p'), rules, now);
    expect(paths.map(({ path }) => formatPath(path))).toEqual([
      'rules.node-conformance.cuda.toolkitLabel',
      'rules.node-conformance.jetpack.label',
      'rules.node-identity.others',
    ]);
  });

  it('is nothing where labels are named, or nobody asks for what they state', () => {
    const conformance = (settings: object): readonly string[] => {
      const text = stringify({
        apiVersion: 'osmo-admission/v1alpha1',
        kind: 'AdmissionPolicy',
        rules: { 'node-conformance': settings, 'node-identity': { others: 'enforce' } },
      });
      return lacksOf(parser(text, 'p'), rules, now).map(({ message }) => message);
    };
    expect(conformance({ cuda: { toolkitLabel: 'a/cuda' }, jetpack: { l4tLabel: 'a/l4t' } })).toEqual([]);
    expect(conformance({ enforcement: { cuda: 'off', jetpack: 'off' } })).toEqual([]);
  });

  it.each([
    [{ preset: 'monitor' }, 'preset is monitor: nothing is denied or patched'],
    [{ workflowPods: { namespaces: [] } }, 'workflowPods.namespaces is empty: pods are judged by labels'],
    [
      { workflowPods: { labels: [] } },
      'workflowPods.labels is empty: a workflow pod in a namespace that is not listed',
    ],
    [{ workflowPods: { namespaces: [], labels: [] } }, 'workflowPods names no namespace and no label'],
    [
      { nodes: { types: { operator: null } } },
      'nodes.types has no value that means operator: no pod gets the exclusion',
    ],
    [{ nodes: { operatorTaints: [] } }, 'nodes.operatorTaints is empty: no toleration is ever refused'],
    [
      {
        profiles: [
          { name: 'jetson', match: { platforms: ['j'] }, nodeType: 'jetson', tolerations: [] },
          { name: 'gpu', match: { resources: ['nvidia.com/gpu'] }, nodeType: 'gpu', tolerations: [] },
          { name: 'compute', match: {}, tolerations: [] },
        ],
      },
      'profiles[1].match.deviceClasses is empty: a pod that gets its GPU by a resource claim is not seen',
    ],
    [
      { exemptions: [{ reason: 'all', groups: ['system:authenticated'] }] },
      'exemptions[0].groups hold system:authenticated: nearly everybody is exempt',
    ],
    [
      { rules: { 'node-conformance': { enforcement: { 'kubernetes-version': 'warn' } } } },
      'rules.node-conformance.enforcement.kubernetes-version is warn: it denies nothing for this reason',
    ],
    [{ rules: { placement: { enforcement: 'warn' } } }, 'rules.placement.enforcement is warn: it denies nothing'],
    [
      { rules: { 'operator-node-guard': { enforcement: 'off' } } },
      'rules.operator-node-guard.enforcement is off: it judges nothing, and no webhook is registered for it',
    ],
    [
      { rules: { 'reserved-nodes': { enforcement: 'warn', taints: [{ key: 'node-type', value: 'gpu' }] } } },
      'rules.reserved-nodes.enforcement is warn: it denies nothing',
    ],
    [
      {
        rules: {
          'reserved-nodes': { enforcement: 'enforce', taints: [{ key: 'node-type', value: 'gpu' }, { key: 'team' }] },
        },
      },
      'rules.reserved-nodes.taints[1] team:NoSchedule|NoExecute is tolerated by no profile: a workflow pod cannot use such nodes',
    ],
    [
      { exemptions: [{ reason: 'r', namespaces: ['a'], until: '2026-12-01' }] },
      'exemptions[0].until is 2026-12-01, 7 days from now: then it exempts nobody',
    ],
    [
      { exemptions: [{ reason: 'r', namespaces: ['a'], until: '2026-11-25' }] },
      'exemptions[0].until is 2026-11-25, today: then it exempts nobody',
    ],
    [
      { exemptions: [{ reason: 'r', namespaces: ['a'], until: '2026-11-24' }] },
      'exemptions[0] ended on 2026-11-24: it exempts nobody any more',
    ],
  ])('%j: %s', (sections, message) => {
    const lines = lacks(sections);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(message);
  });

  it('is not a rule that is off by default, whatever taints it lists', () => {
    expect(lacks({ rules: { 'reserved-nodes': { taints: [{ key: 'team' }] } } })).toEqual([]);
  });

  it('is not an exemption that ends long after', () => {
    expect(lacks({ exemptions: [{ reason: 'r', namespaces: ['a'], until: '2027-01-31' }] })).toEqual([]);
  });
});
