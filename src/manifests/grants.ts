import { claimGroup } from '../policy/model/read-claim.ts';
import { quarantineId } from '../policy/quarantine.ts';
import type { Features } from './features.ts';
import { caSecretName, certificatesLeaseName, productName, quarantineLeaseName, tlsSecretName } from './objects.ts';

/*
 * What the server may do on a cluster, right by right, each with what uses it. `webhook-config/`, the chart and the tests read this list, and
 * nothing else grants anything.
 */

/** A rule of RBAC. */
export interface Rights {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/**
 * Roles by where they hold: the cluster; the cluster, in a role of its own, since some clusters keep that right back; the namespace of the
 * installation; the namespace in which Events of nodes stand.
 */
export type Place = 'cluster' | 'pod-search' | 'namespace' | 'events';

export interface Grant {
  readonly place: Place;
  /** What uses it, in words. */
  readonly feature: string;
  readonly rights: Rights;
  /** When that is in use. */
  readonly when: (features: Features) => boolean;
}

const always = (): boolean => true;
const configurations = ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'];
const leases = { apiGroups: ['coordination.k8s.io'], resources: ['leases'] };
const secrets = { apiGroups: [''], resources: ['secrets'] };
const selfSigned = ({ selfSigned: is }: Features): boolean => is;

export const grants: readonly Grant[] = [
  {
    place: 'cluster',
    feature: 'the index of nodes, and the look-up of one that it lacks',
    rights: { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list', 'watch'] },
    when: always,
  },
  {
    place: 'cluster',
    // Below enforce marks that are there are taken away; with the rule off nothing of it is left to do.
    feature: 'the mark and the annotation of a node',
    rights: { apiGroups: [''], resources: ['nodes'], verbs: ['patch'] },
    when: ({ isOn }) => isOn(quarantineId),
  },
  {
    place: 'cluster',
    // By name and its metadata only: a Binding shows neither its pod's labels nor its exemption.
    feature: 'the pod of a Binding to an operator node',
    rights: { apiGroups: [''], resources: ['pods'], verbs: ['get'] },
    when: ({ isOn }) => isOn('operator-node-guard'),
  },
  {
    place: 'cluster',
    feature: 'the device classes of the claims that pods refer to',
    rights: {
      apiGroups: [claimGroup],
      resources: ['resourceclaims', 'resourceclaimtemplates'],
      verbs: ['list', 'watch'],
    },
    when: ({ deviceClasses }) => deviceClasses,
  },
  {
    place: 'cluster',
    feature: 'the comparison of what the API server sends with what the policy covers',
    rights: {
      apiGroups: ['admissionregistration.k8s.io'],
      resources: configurations,
      resourceNames: [productName],
      verbs: ['get'],
    },
    when: always,
  },
  {
    place: 'cluster',
    feature: 'caBundle, where the server is its own authority',
    rights: {
      apiGroups: ['admissionregistration.k8s.io'],
      resources: configurations,
      resourceNames: [productName],
      verbs: ['patch'],
    },
    when: selfSigned,
  },
  {
    place: 'pod-search',
    // One pod at a time, or those of one node, and their metadata only; the right is to more.
    feature:
      'pods with the workflow labels outside the listed namespaces, and those that run on a node that has changed',
    rights: { apiGroups: [''], resources: ['pods'], verbs: ['list'] },
    when: ({ podSearch }) => podSearch,
  },
  {
    place: 'namespace',
    feature: 'the Leases: RBAC knows no name at creation',
    rights: { ...leases, verbs: ['create'] },
    when: ({ isOn, selfSigned: is }) => isOn(quarantineId) || is,
  },
  {
    place: 'namespace',
    // Also with the rule off: the Lease's age says since when quarantine is on, so one that was left behind must go.
    feature: 'the Lease of the replica that sets marks',
    rights: { ...leases, resourceNames: [quarantineLeaseName], verbs: ['get', 'update', 'delete'] },
    when: always,
  },
  {
    place: 'namespace',
    feature: 'the Lease of the replica that makes certificates',
    rights: { ...leases, resourceNames: [certificatesLeaseName], verbs: ['get', 'update'] },
    when: selfSigned,
  },
  {
    place: 'namespace',
    feature: 'the Secrets with the server’s own authority and certificate: RBAC knows no name at creation',
    rights: { ...secrets, verbs: ['create'] },
    when: selfSigned,
  },
  {
    place: 'namespace',
    feature: 'the same, kept over restarts and renewed',
    rights: { ...secrets, resourceNames: [caSecretName, tlsSecretName], verbs: ['get', 'update'] },
    when: selfSigned,
  },
  {
    place: 'events',
    feature: 'Events of nodes that change, which stand there',
    rights: { apiGroups: [''], resources: ['events'], verbs: ['create'] },
    when: always,
  },
];
