import {
  caSecretName,
  type Installation,
  type KubeObject,
  metadata,
  productName,
  serviceHosts,
  tlsSecretName,
} from './objects.ts';

/** A long-lived CA of cert-manager's own, and the serving certificate from it: caBundle holds the CA, so renewals change nothing there. */
export function buildCertificates({ namespace }: Installation): readonly KubeObject[] {
  const caName = caSecretName;
  const rootName = `${productName}-root`;
  const ecdsa = { algorithm: 'ECDSA', size: 256 };
  return [
    {
      apiVersion: 'cert-manager.io/v1',
      kind: 'Issuer',
      metadata: metadata(rootName, namespace),
      spec: { selfSigned: {} },
    },
    {
      apiVersion: 'cert-manager.io/v1',
      kind: 'Certificate',
      metadata: metadata(caName, namespace),
      spec: {
        isCA: true,
        commonName: caName,
        secretName: caName,
        // Ten years.
        duration: '87600h',
        // Whatever caBundle holds of it then vouches for what is served: a ca-injector before 1.19 keeps no CA beside the new one.
        privateKey: { ...ecdsa, rotationPolicy: 'Never' },
        issuerRef: { name: rootName, kind: 'Issuer' },
      },
    },
    {
      apiVersion: 'cert-manager.io/v1',
      kind: 'Issuer',
      metadata: metadata(caName, namespace),
      spec: { ca: { secretName: caName } },
    },
    {
      apiVersion: 'cert-manager.io/v1',
      kind: 'Certificate',
      metadata: metadata(productName, namespace),
      spec: {
        secretName: tlsSecretName,
        dnsNames: serviceHosts(namespace),
        // 90 days, renewed 30 days before they end.
        duration: '2160h',
        renewBefore: '720h',
        // The notes of exemptions are signed with a key that follows from it, and a renewed Secret reaches the replicas at different times.
        privateKey: { ...ecdsa, rotationPolicy: 'Never' },
        usages: ['digital signature', 'server auth'],
        issuerRef: { name: caName, kind: 'Issuer' },
      },
    },
  ];
}
