import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { createPolicyParser } from '../../src/config/parse.ts';
import { featuresOf, type Settings } from '../../src/manifests/features.ts';
import { buildRbac } from '../../src/manifests/rbac.ts';
import { rules } from '../../src/policy/rules/index.ts';

const parse = createPolicyParser({ rules, ownNamespace: 'here' });

/** `verb resource` or `verb resource/name` of everything that an installation may do. */
function rightsOf(sections: object, settings: Partial<Settings> = {}): readonly string[] {
  const text = stringify({ apiVersion: 'osmo-admission/v1alpha1', kind: 'AdmissionPolicy', ...sections });
  const features = featuresOf(parse(text, 'policy.yaml'), { podSearch: true, tls: 'cert-manager', ...settings });
  return buildRbac(features, 'here').flatMap((role) =>
    (Array.isArray(role.rules) ? role.rules : []).flatMap(({ verbs, resources, resourceNames = [''] }) =>
      verbs.flatMap((verb: string) =>
        resources.flatMap((resource: string) =>
          resourceNames.map((name: string) => `${verb} ${resource}${name === '' ? '' : `/${name}`}`),
        ),
      ),
    ),
  );
}

const off = (...ids: readonly string[]): object => ({
  rules: Object.fromEntries(ids.map((id) => [id, { enforcement: 'off' }])),
});

/** What goes when something is not in use. */
const lost = (sections: object, settings: Partial<Settings> = {}): readonly string[] => {
  const left = rightsOf(sections, settings);
  return rightsOf({}).filter((right) => !left.includes(right));
};

describe('rights follow what is in use', () => {
  it('by default: nodes and their marks, pods, claims, its own configurations and Lease, Events', () => {
    expect(rightsOf({})).toEqual([
      ...['get nodes', 'list nodes', 'watch nodes', 'patch nodes', 'get pods'],
      ...['list', 'watch'].flatMap((verb) => [`${verb} resourceclaims`, `${verb} resourceclaimtemplates`]),
      'get mutatingwebhookconfigurations/osmo-admission-webhook',
      'get validatingwebhookconfigurations/osmo-admission-webhook',
      'list pods',
      'create leases',
      ...['get', 'update', 'delete'].map((verb) => `${verb} leases/osmo-admission-webhook-quarantine`),
      'create events',
    ]);
  });

  it('nodes are written, and Leases made, only where quarantine is not off', () => {
    expect(lost(off('node-quarantine'))).toEqual(['patch nodes', 'create leases']);
    // Marks that are there are taken away.
    expect(lost({ rules: { 'node-quarantine': { enforcement: 'audit' } } })).toEqual([]);
    expect(lost({ preset: 'monitor' })).toEqual([]);
  });

  it('single pods are read for the guard alone', () => {
    expect(lost(off('operator-node-guard'))).toEqual(['get pods']);
    expect(lost(off('placement', 'exemptions', 'node-identity', 'reserved-nodes'))).toEqual([]);
  });

  it('claims are read only where a profile names device classes', () => {
    const profiles = [{ name: 'all', match: {}, tolerations: [] }];
    expect(lost({ profiles })).toHaveLength(4);
    expect(lost({ profiles }).join()).not.toMatch(/nodes|pods|leases/);
  });

  it('pods are listed only where they may be searched', () => {
    expect(lost({}, { podSearch: false })).toEqual(['list pods']);
  });

  it('Secrets, caBundle and a second Lease are written only by a server that is its own authority', () => {
    const without = rightsOf({});
    expect(rightsOf({}, { tls: 'secret' })).toEqual(without);
    const added = rightsOf({}, { tls: 'self-signed' }).filter((right) => !without.includes(right));
    expect(added).toEqual([
      'patch mutatingwebhookconfigurations/osmo-admission-webhook',
      'patch validatingwebhookconfigurations/osmo-admission-webhook',
      'get leases/osmo-admission-webhook-certificates',
      'update leases/osmo-admission-webhook-certificates',
      'create secrets',
      ...['get', 'update'].flatMap((verb) =>
        ['ca', 'tls'].map((name) => `${verb} secrets/osmo-admission-webhook-${name}`),
      ),
    ]);
    expect(rightsOf(off('node-quarantine'), { tls: 'self-signed' })).toContain('create leases');
  });
});
