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
const pem = { pattern: '^(\\s*|\\s*-----BEGIN CERTIFICATE-----[\\s\\S]*)$' };

/** Every value but `policy`, in the order of values.yaml. Each says what it does in whole sentences: they are read without their neighbours. */
export const values: Values = {
  commonLabels: strings(
    'Labels of every object of the chart, its pods too. Those that the chart sets itself stay as they are.',
  ),
  image: group('The container image. None is published yet: build it from the Dockerfile.', {
    repository: text(defaultInstallation.image.split(':')[0] ?? '', 'Registry and name of the image.', {
      minLength: 1,
    }),
    tag: text('', 'Tag of the image. Empty: the chart’s appVersion.'),
    digest: text('', 'Digest of the image, as sha256:…. Where it is given the tag does not count.', {
      pattern: '^(sha256:[0-9a-f]{64})?$',
    }),
    pullPolicy: oneOf(['IfNotPresent', 'Always', 'Never'], 'When kubelets pull the image.'),
  }),
  imagePullSecrets: kubeList([], 'Secrets by which kubelets pull the image: [{name: …}].'),
  replicaCount: count(
    defaultInstallation.replicas,
    'How many replicas of the server run. With one, every restart is an outage.',
    0,
  ),
  tls: group('How the server comes by its certificate, and the API server by the authority behind it.', {
    mode: oneOf(
      ['self-signed', 'cert-manager', 'secret'],
      'self-signed: the server is its own authority, keeps it in a Secret and writes caBundle; nothing else is needed. cert-manager: an Issuer and a Certificate of cert-manager, and its CA injector. secret: a Secret of yours.',
    ),
    issuerRef: group(
      'With mode cert-manager: an issuer of yours, whose CA the CA injector knows. Without a name the chart makes an authority of its own.',
      {
        name: text('', 'Name of the issuer.'),
        kind: text('Issuer', 'Kind of the issuer: Issuer, ClusterIssuer, or that of another group.', { minLength: 1 }),
        group: text('cert-manager.io', 'API group of the issuer.'),
      },
    ),
    secretName: text(
      '',
      'With mode secret: the Secret with tls.crt and tls.key, for osmo-admission-webhook.<namespace>.svc.',
    ),
    caBundle: text('', 'With mode secret: the authority that issued the certificate, in PEM.', pem),
  }),
  clientVerification: group(
    'Verifies by client certificate that the API server sent a review. Off until one of the first two is given; the API server has to be told to show a certificate first: docs/operations.md, “Who may call”.',
    {
      caBundle: text('', 'The authorities of client certificates, in PEM. The chart keeps them in a ConfigMap.', pem),
      configMapName: text('', 'Instead of caBundle: a ConfigMap of yours that has them under the key ca.crt.'),
      allowedNames: {
        about: 'Common names that verify a caller, such as kube-apiserver. Empty: any certificate of the authorities.',
        value: [],
        schema: { ...names, items: { type: 'string', pattern: '^[^,\\s]+( +[^,\\s]+)*$' } },
      },
      required: flag(
        false,
        'Refuse reviews of callers that are not verified, instead of only recording that they are not. Set it once osmo_admission_unverified_reviews_total stands still: an API server that shows no certificate gets no workflow pod through.',
      ),
    },
  ),
  podSearch: flag(
    true,
    'Look for workflow pods outside the listed namespaces, and name those that run on a node that has changed. It takes the right to list pods.',
  ),
  audit: group('The audit log: who asked for what, and what was decided.', {
    stdout: flag(true, 'Write the audit log to standard output.'),
    file: group(
      'Writes the audit log to a file on a volume. The Deployment becomes a StatefulSet, with a volume for each replica.',
      {
        enabled: flag(false, 'Write the audit log to a file.'),
        size: text('20Gi', 'Size of each volume.', size),
        storageClassName: text('', 'Storage class of the volumes. Empty: the cluster’s default class.'),
        maxSize: text('100Mi', 'The file is renamed before it grows beyond this size. "0": never.', size),
        maxAge: text('0s', 'The file is renamed at its next record when it is older than this. 0s: never.', duration),
        keep: count(30, 'How many renamed files are kept. 0: all.', 0),
        compress: flag(true, 'Compress renamed files.'),
        fsync: oneOf(
          ['interval', 'always', 'none'],
          'When lines are forced to the disk. interval: every second. always: before the answer. none: when the kernel likes.',
        ),
      },
    ),
    onError: oneOf(
      ['continue', 'deny'],
      'What happens when a record cannot be written. continue: it is counted as lost. deny: the answer is HTTP 500, and failurePolicy decides.',
    ),
    signing: group('Signs the audit log with an Ed25519 key, by a checkpoint from time to time.', {
      secretName: text('', 'A Secret of yours that has the key. Empty: no checkpoints.'),
      key: text('signing.key', 'Name of the key in the Secret. It is PEM, PKCS#8.', { minLength: 1 }),
      records: count(1000, 'A checkpoint is written after so many records at the latest.', 1),
      interval: text('1m', 'A checkpoint is written after this time, where there are new records.', duration),
    }),
    clusterName: text('', 'Name of the cluster, as each record gives it.', { maxLength: 253 }),
  }),
  service: group('The Service that the API server calls.', {
    annotations: strings('Annotations of the Service.'),
  }),
  ports: group('Ports that the server listens on. With hostNetwork they may collide with others.', {
    https: count(admissionPort, 'Port for the API server.', 1, 65_535),
    health: count(healthPort, 'Port for kubelets and Prometheus: health and metrics, by plain HTTP.', 1, 65_535),
  }),
  hostNetwork: flag(
    false,
    'Run on the nodes’ network, for clusters whose API server cannot reach pods (some overlay networks on managed clusters). Pod Security "restricted" forbids it.',
  ),
  serviceAccount: group('The server’s service account.', {
    annotations: strings('Annotations of the ServiceAccount.'),
  }),
  workloadAnnotations: strings('Annotations of the Deployment, or of the StatefulSet.'),
  podAnnotations: strings('Annotations of the server’s pods.'),
  podLabels: strings('Labels of the server’s pods.'),
  resources: kubeMap(
    resources,
    'Requests and limits of the server. Measured: an idle one takes 95 MiB with 6 nodes and 130 MiB with 5,006; the largest reviews and the worst bodies, eight at once, take it to some 460.',
  ),
  priorityClassName: text(
    priorityClassName,
    'Priority class of the server’s pods. An outage stops workflow pods, so they go before those. Empty: none.',
  ),
  podSecurityContext: kubeMap(
    podSecurityContext,
    'Security context of the pods, as Pod Security "restricted" asks. There is no runAsUser: the image has one, and OpenShift gives its own. Set it here if you must.',
  ),
  securityContext: kubeMap(securityContext, 'Security context of the container, as Pod Security "restricted" asks.'),
  nodeSelector: strings('Labels of the nodes that the server may run on. Empty: any node.'),
  tolerations: kubeList(
    tolerations,
    'Tolerations of the pods: the operator taints of the default policy, and those of control planes. Where your policy has other operatorTaints, write them here too.',
  ),
  affinity: kubeMap(
    affinity,
    'Where the pods are placed. Wishes only: operator nodes, and a node for each replica. A single node and a cluster without labels do as well.',
  ),
  topologySpreadConstraints: kubeList(
    topologySpreadConstraints,
    'How the pods are spread: a zone for each replica, where that can be.',
  ),
  podDisruptionBudget: group('Makes drains take one replica at a time.', {
    enabled: flag(true, 'Make a PodDisruptionBudget.'),
    maxUnavailable: count(
      disruption.maxUnavailable,
      'How many replicas a drain may take at once. At least 1, so that it never hangs.',
      1,
    ),
  }),
  networkPolicy: group('Closes every port of the pods but the two. It does not bind pods with hostNetwork.', {
    enabled: flag(true, 'Make a NetworkPolicy.'),
    apiServerCIDRs: {
      about: 'Addresses from which the API server calls, as CIDRs. Empty: its port is open to all.',
      value: [],
      schema: { ...names, items: { type: 'string', pattern: '^[0-9a-fA-F.:]+/[0-9]{1,3}$' } },
    },
    healthFrom: kubeList(
      [],
      'Peers that may reach health and metrics: [{namespaceSelector: …}]. Empty: all. Kubelets reach the pods of their own node in most networks; where not, list them.',
    ),
  }),
  metrics: group('Metrics and alerts, for Prometheus.', {
    service: group('A Service for the port of health and metrics.', {
      enabled: flag(false, 'Make the Service. A ServiceMonitor brings it along.'),
      annotations: strings('Annotations of the Service for metrics.'),
    }),
    serviceMonitor: group('A ServiceMonitor of the Prometheus operator.', {
      enabled: flag(false, 'Make the ServiceMonitor.'),
      labels: strings('Labels by which your Prometheus finds the ServiceMonitor.'),
      interval: text('30s', 'How often Prometheus scrapes.', interval),
    }),
    prometheusRule: group('Alerts as a PrometheusRule of the Prometheus operator.', {
      enabled: flag(false, 'Make the PrometheusRule.'),
      labels: strings('Labels by which your Prometheus finds the PrometheusRule.'),
      docsUrl: text(
        '',
        'Address at which your people read docs/ of this project. Each alert then links to its section by runbook_url; empty: it names the section.',
        { pattern: '^(https?://.+)?$' },
      ),
      certificateDays: count(14, 'Alert so many days before the serving certificate expires.', 1),
      nodesMarkedFor: text(
        '20m',
        'Alert when nodes have been marked for so long. It should be longer than the policy’s awaitFor.',
        interval,
      ),
    }),
  }),
  reloadInterval: text(
    '30s',
    'How often policy file, certificate and webhook configurations are compared with what is in force, beside file events.',
    duration,
  ),
  shutdown: group('How a replica ends. The pods’ terminationGracePeriodSeconds is the sum of the three.', {
    delay: count(10, 'Seconds for which it goes on accepting requests, since endpoints lag behind.', 0),
    timeout: count(30, 'Seconds that requests in flight may take after that.', 0),
    spare: count(terminationGracePeriodSeconds - 40, 'Seconds beside these until the kubelet kills it.', 1),
  }),
  uninstall: group('What helm uninstall does beside deleting what it installed.', {
    enabled: flag(
      true,
      'Run a Job that takes away what the server left: the mark and the annotation of nodes, Leases, and the Secrets of certificates that were made here.',
    ),
    timeoutSeconds: count(180, 'Seconds that the Job may take.', 30),
  }),
};
