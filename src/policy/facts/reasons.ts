/** Reasons of node-conformance, in the order in which a table shows them. */
export const reasons = [
  'kubernetes-version',
  'architecture',
  'container-runtime',
  'os-image',
  'cpu',
  'memory',
  'disk',
  'node-type',
  'type-facts',
  'address',
  'dns-name',
  'driver',
  'cuda',
  'jetpack',
  'operator-untainted',
] as const;

export type Reason = (typeof reasons)[number];
