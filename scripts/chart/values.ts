import { defaultInstallation } from '../../src/cli/manifests-command.ts';
import { admissionPort, healthPort } from '../../src/manifests/objects.ts';
import {
  affinity,
  disruption,
  podSecurityContext,
  priorityClassName,
  resources,
  securityContext,
  terminationGracePeriodSeconds,
  tolerations,
  topologySpreadConstraints,
} from '../../src/manifests/workload.ts';
import { count, flag, group, kubeList, kubeMap, oneOf, strings, text, type Values } from './value.ts';

const duration = { pattern: '^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$' };
const size = { pattern: '^[0-9]+(\\.[0-9]+)?([KMGT]i?|k)?$' };
const names = { type: 'array', uniqueItems: true, items: { type: 'string', minLength: 1 } };
const interval = { pattern: '^[0-9]+(ms|s|m|h)$' };
const rule = (value: string, about: string): Values[string] => ({
  about,
  value,
  schema: { type: 'string', ...interval },
});

/** Every value but `policy`, in the order of values.yaml. */
export const values: Values = {
  image: group('The image. None is published yet: build it from the Dockerfile.', {
    repository: text(defaultInstallation.image.split(':')[0] ?? '', 'Registry and name.', { minLength: 1 }),
    tag: text('', 'Left empty, the chart’s appVersion.'),
    digest: text('', 'sha256:…; where it is given the tag does not count.', { pattern: '^(sha256:[0-9a-f]{64})?$' }),
    pullPolicy: oneOf(['IfNotPresent', 'Always', 'Never'], 'When kubelets pull.'),
  }),
  imagePullSecrets: kubeList([], 'Secrets for the registry: [{name: …}].'),
  replicaCount: count(defaultInstallation.replicas, 'Replicas. With one, every restart is an outage.', 0),
  tls: group('How the server comes by its certificate, and the API server by the authority behind it.', {
    mode: oneOf(
      ['self-signed', 'cert-manager', 'secret'],
      'self-signed: the server is its own authority, keeps it in a Secret and writes caBundle; nothing else is needed. cert-manager: its Issuer and Certificate, and ca-injector. secret: a Secret of yours.',
    ),
    issuerRef: group(
      'For cert-manager: an issuer of yours, whose CA ca-injector knows. Left empty, an authority of our own.',
      {
        name: text('', 'Its name.'),
        kind: oneOf(['Issuer', 'ClusterIssuer'], 'Its kind.'),
        group: text('cert-manager.io', 'Its API group.'),
      },
    ),
    secretName: text('', 'For secret: the Secret with tls.crt and tls.key, for <service>.<namespace>.svc.'),
    caBundle: text('', 'For secret: the authority that issued it, PEM.', {
      pattern: '^(\\s*|\\s*-----BEGIN CERTIFICATE-----[\\s\\S]*)$',
    }),
  }),
  podSearch: flag(
    true,
    'Look for workflow pods outside the listed namespaces, and name those on a node that has changed: takes the right to list pods.',
  ),
  audit: group('The audit log: who asked for what, and what was decided.', {
    stdout: flag(true, 'Write it to standard output.'),
    file: group(
      'Write it to a file on a volume: the Deployment becomes a StatefulSet, with a volume for each replica.',
      {
        enabled: flag(false, 'Whether.'),
        size: text('20Gi', 'Size of each volume.', size),
        storageClassName: text('', 'Left empty, the cluster’s default class.'),
        maxSize: text('100Mi', 'The file is renamed before it grows beyond this; "0" = never.', size),
        maxAge: text('0s', 'And at its next record when it is older than this; 0s = never.', duration),
        keep: count(30, 'How many renamed files are kept; 0 = all.', 0),
        compress: flag(true, 'Compress renamed files.'),
        fsync: oneOf(['interval', 'always', 'none'], 'When lines are forced to the disk.'),
      },
    ),
    onError: oneOf(
      ['continue', 'deny'],
      'When a record cannot be written: continue counts it as lost, deny answers HTTP 500 and lets failurePolicy decide.',
    ),
    signing: group('Checkpoints that are signed with an Ed25519 key.', {
      secretName: text('', 'A Secret of yours with the key; left empty, no checkpoints.'),
      key: text('signing.key', 'The key’s name in the Secret: PEM, PKCS#8.', { minLength: 1 }),
      records: count(1000, 'A checkpoint after so many records at the latest.', 1),
      interval: text('1m', 'And after so long, where there are new records.', duration),
    }),
    clusterName: text('', 'The cluster’s name, as records give it.', { maxLength: 253 }),
  }),
  service: group('The Service that the API server calls.', {
    annotations: strings('Annotations of the Service.'),
  }),
  ports: group('Ports that the server listens on; other ones where hostNetwork makes them collide.', {
    https: count(admissionPort, 'For the API server.', 1, 65_535),
    health: count(healthPort, 'For kubelets and Prometheus: health and metrics, plain HTTP.', 1, 65_535),
  }),
  hostNetwork: flag(
    false,
    'For clusters whose API server cannot reach pods (some overlay networks on managed clusters). Pod Security "restricted" forbids it.',
  ),
  serviceAccount: group('The server’s service account.', {
    annotations: strings('Annotations of the ServiceAccount.'),
  }),
  resources: kubeMap(resources, 'Measured: an idle server takes 95 MiB with 6 nodes and 130 MiB with 5,006.'),
  priorityClassName: text(priorityClassName, 'An outage stops workflow pods, so it goes before them. Empty = none.'),
  podSecurityContext: kubeMap(
    podSecurityContext,
    'As Pod Security "restricted" asks. There is no runAsUser: the image has one, and OpenShift gives its own; set it here if you must.',
  ),
  securityContext: kubeMap(securityContext, 'Of the container; the same.'),
  nodeSelector: strings('Nodes that the server may run on. Empty = any.'),
  tolerations: kubeList(
    tolerations,
    'Operator taints of the default policy, and those of control planes. Where your policy has other operatorTaints, write them here too.',
  ),
  affinity: kubeMap(
    affinity,
    'Wishes only: operator nodes, and a node for each replica. A single node and a cluster without labels do as well.',
  ),
  topologySpreadConstraints: kubeList(topologySpreadConstraints, 'A zone for each replica, where that can be.'),
  podDisruptionBudget: group('Drains take one replica at a time.', {
    enabled: flag(true, 'Whether there is one.'),
    maxUnavailable: count(
      disruption.maxUnavailable,
      'How many may be away; at least 1, so that a drain never hangs.',
      1,
    ),
  }),
  networkPolicy: group('Closes every port but the two. It does not bind pods with hostNetwork.', {
    enabled: flag(true, 'Whether there is one.'),
    apiServerCIDRs: {
      about: 'Addresses from which the API server calls, as CIDRs. Until they are given, its port is open to all.',
      value: [],
      schema: { ...names, items: { type: 'string', pattern: '^[0-9a-fA-F.:]+/[0-9]{1,3}$' } },
    },
    healthFrom: kubeList(
      [],
      'Peers that may reach health and metrics: [{namespaceSelector: …}]. Empty = all. Kubelets reach their own node’s pods in most networks; where not, list them.',
    ),
  }),
  metrics: group('Prometheus.', {
    service: group('A Service for the port of health and metrics.', {
      enabled: flag(false, 'Whether there is one; a ServiceMonitor brings it along.'),
      annotations: strings('Its annotations.'),
    }),
    serviceMonitor: group('For the Prometheus operator.', {
      enabled: flag(false, 'Whether there is one.'),
      labels: strings('By which your Prometheus finds it.'),
      interval: text('30s', 'How often.', interval),
    }),
    prometheusRule: group('Alerts, for the Prometheus operator.', {
      enabled: flag(false, 'Whether they are there.'),
      labels: strings('By which your Prometheus finds them.'),
      certificateDays: count(14, 'Tell so many days before the serving certificate expires.', 1),
      nodesMarkedFor: rule('20m', 'How long nodes may be marked; longer than the policy’s awaitFor.'),
    }),
  }),
  podAnnotations: strings('Of the server’s pods.'),
  podLabels: strings('Of the server’s pods.'),
  reloadInterval: text(
    '30s',
    'How often policy and certificate are compared with what is in force, beside file events.',
    duration,
  ),
  shutdown: group('How a replica ends.', {
    delay: count(10, 'Seconds that it goes on accepting, since endpoints lag behind.', 0),
    timeout: count(30, 'Seconds that requests in flight may take after that.', 0),
    spare: count(
      terminationGracePeriodSeconds - 40,
      'Seconds beside these until the kubelet kills it: terminationGracePeriodSeconds is the sum of the three.',
      1,
    ),
  }),
  uninstall: group('What helm uninstall does beside deleting what it installed.', {
    enabled: flag(
      true,
      'A Job takes away what the server left: the mark and annotation of nodes, Leases, and the Secrets of certificates that were made here.',
    ),
    timeoutSeconds: count(180, 'How long it may take.', 30),
  }),
};
