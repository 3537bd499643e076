import type { Labels } from '../kube/labels.ts';
import type { Taint } from '../kube/taint.ts';

/** What the rules read of a Node, and nothing else: the index keeps one of these for each node of the cluster. */
export interface Node {
  readonly name: string;
  readonly labels: Labels;
  /** The annotation `osmo-admission/verified`; undefined where it is not there. */
  readonly verified: string | undefined;
  /** `metadata.creationTimestamp` in milliseconds of the Unix epoch; undefined before the API server has set it. */
  readonly createdAtMs: number | undefined;
  readonly taints: readonly Taint[];
  /** `spec.unschedulable`: the node is cordoned. */
  readonly unschedulable: boolean;
  /** `status.conditions[type=Ready].status` is `True`. */
  readonly ready: boolean;
  /** `status.capacity` as written; quantities are parsed where they are compared. */
  readonly capacity: Readonly<Record<string, string>>;
  readonly addresses: readonly NodeAddress[];
  readonly info: NodeInfo;
}

export interface NodeAddress {
  /** Hostname, InternalIP, ExternalIP, InternalDNS, ExternalDNS. */
  readonly type: string;
  readonly address: string;
}

/** `status.nodeInfo`. An empty string stands for a field that is absent. */
export interface NodeInfo {
  readonly architecture: string;
  readonly containerRuntimeVersion: string;
  readonly kernelVersion: string;
  readonly kubeletVersion: string;
  readonly osImage: string;
}

/** Label of a node that new workflow pods stay off. Its value is `violated` or `awaited`. */
export const markLabel = 'osmo-admission/quarantined';

/** Annotation of a node that has met every quarantine fact as the type that is its value. */
export const verifiedAnnotation = 'osmo-admission/verified';

/** Jetson's kernels are named `5.15.148-tegra`. */
export function isTegraKernel(kernelVersion: string): boolean {
  return kernelVersion.endsWith('-tegra');
}
