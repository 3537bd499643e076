import type { Labels } from '../kube/labels.ts';
import type { Taint } from '../kube/taint.ts';

/** What the rules read of a Node, and nothing else: the index keeps one of these for each node of the cluster. */
export interface Node {
  readonly name: string;
  readonly labels: Labels;
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

/** Jetson's kernels are named `5.15.148-tegra`. */
export function isTegraKernel(kernelVersion: string): boolean {
  return kernelVersion.endsWith('-tegra');
}
