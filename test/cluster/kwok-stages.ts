import { productName } from '../../src/manifests/objects.ts';

/*
 * What kwok does to the nodes that bear its annotation and to the pods on them, in its own terms (kwok.x-k8s.io Stage): a node becomes
 * Ready and keeps what it says of itself; a bound pod runs; a pod that is deleted goes.
 */

interface StageSpec {
  readonly name: string;
  readonly kind: 'Node' | 'Pod';
  /** jq paths with the values that they must have, or must be without. */
  readonly when: readonly (readonly [string, 'In' | 'NotIn' | 'Exists' | 'DoesNotExist', ...string[]])[];
  readonly next: object;
}

/** Values of app.kubernetes.io/name of the webhook's own pods, which really run: see node-agent/. */
export const playedNames: readonly string[] = [productName, `${productName}-uninstall`];

const notOurs = ['.metadata.labels["app.kubernetes.io/name"]', 'NotIn', ...playedNames] as const;

const stages: readonly StageSpec[] = [
  {
    name: 'node-ready',
    kind: 'Node',
    when: [['.status.conditions.[] | select( .type == "Ready" ) | .status', 'NotIn', 'True']],
    next: {
      statusTemplate: `conditions:
- type: Ready
  status: "True"
  reason: KubeletReady
  message: kwok says so
  lastHeartbeatTime: {{ Now | Quote }}
  lastTransitionTime: {{ Now | Quote }}
phase: Running
`,
    },
  },
  {
    name: 'pod-running',
    kind: 'Pod',
    when: [['.metadata.deletionTimestamp', 'DoesNotExist'], ['.status.podIP', 'DoesNotExist'], notOurs],
    next: {
      statusTemplate: `{{ $now := Now }}
conditions:
- type: Ready
  status: "True"
  lastTransitionTime: {{ $now | Quote }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: true
  restartCount: 0
  state:
    running:
      startedAt: {{ $now | Quote }}
{{ end }}
hostIP: 10.20.0.1
podIP: {{ PodIPWith .spec.nodeName false ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) | Quote }}
phase: Running
startTime: {{ $now | Quote }}
`,
    },
  },
  {
    name: 'pod-gone',
    kind: 'Pod',
    when: [['.metadata.deletionTimestamp', 'Exists'], ['.metadata.finalizers', 'DoesNotExist'], notOurs],
    next: { delete: true },
  },
];

/** The stages as objects of kwok's configuration. */
export const kwokStages: readonly object[] = stages.map(({ name, kind, when, next }) => ({
  apiVersion: 'kwok.x-k8s.io/v1alpha1',
  kind: 'Stage',
  metadata: { name },
  spec: {
    resourceRef: { apiGroup: 'v1', kind },
    selector: {
      matchExpressions: when.map(([key, operator, ...values]) => ({
        key,
        operator,
        ...(values.length > 0 && { values }),
      })),
    },
    next,
  },
}));
