/** What other products bring to a cluster, as far as objects must be accepted: no controller stands behind them here. */
export const stubs: readonly object[] = [
  definition('scheduling.run.ai', 'v2alpha2', 'PodGroup', 'podgroups'),
  definition('cert-manager.io', 'v1', 'Issuer', 'issuers'),
  definition('cert-manager.io', 'v1', 'Certificate', 'certificates'),
];

/** Objects of a cluster that OSMO's pods name. */
export const osmoObjects: readonly object[] = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'osmo-workflows' } },
  { apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass', metadata: { name: 'nvidia' }, handler: 'nvidia' },
];

function definition(group: string, version: string, kind: string, plural: string): object {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, plural, singular: kind.toLowerCase() },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        },
      ],
    },
  };
}
