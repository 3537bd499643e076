import { isLinkLocal, isLoopback, parseIp } from '../kube/address.ts';
import { label } from '../kube/labels.ts';
import { isDns1123Subdomain } from '../kube/names.ts';
import { clip } from '../kube/text.ts';
import type { Node } from '../model/node.ts';
import { operatorTaintOf } from '../model/view.ts';
import type { Fact, Judge } from './fact.ts';
import { guideOf } from './guide.ts';

/**
 * The guide: "node-type=compute, node-type=gpu, node-type=jetson (as appropriate)" and node-type=operator. A value that nobody
 * listed violates; no label is unknown, and no requirement at all of a control-plane node, which has none of the values.
 */
export const nodeType: Judge = ({ node, type, controlPlane, policy }) => {
  const { typeLabel, types } = policy.policy.nodes;
  const has = label(node.labels, typeLabel);
  if (has === undefined && controlPlane) return [];
  const values = Object.keys(types).join(', ');
  return [
    {
      reason: 'node-type',
      verdict: has === undefined ? 'unknown' : type === undefined ? 'violates' : 'meets',
      has: has === undefined ? '' : has === '' ? 'empty' : clip(has, 40),
      needs: `one of ${values}`,
      guide: guideOf('node-type', type),
      field: `metadata.labels[${typeLabel}]`,
      fix: `label the node ${typeLabel}=<one of ${values}> (kubelet --node-labels, or kubectl label), or list the value under nodes.types of the policy file`,
    },
  ];
};

/**
 * The guide: "All nodes must be routable with stable IP addresses". Violates: an internal address that is loopback or
 * link-local, none on a node that is Ready, or a set that differs from what the node had before (order aside: dual-stack).
 */
export const address: Judge = ({ node, type, previous }) => {
  const own = internalAddresses(node);
  const base = {
    reason: 'address' as const,
    has: clip(own.join(', '), 60),
    needs: 'a stable, routable InternalIP',
    guide: guideOf('address', type),
    field: 'status.addresses',
    fix: 'give the node a static routable address (kubelet --node-ip)',
  };
  const bad = own.find((ip) => isLoopback(ip) || isLinkLocal(ip));
  if (bad !== undefined)
    return [{ ...base, verdict: 'violates', has: `${clip(bad, 40)} (${isLoopback(bad) ? 'loopback' : 'link-local'})` }];
  if (own.length === 0) {
    // A cloud node has no address until its cloud controller has seen it.
    return [{ ...base, verdict: node.ready ? 'violates' : 'unknown', has: node.ready ? 'none on a Ready node' : '' }];
  }
  const before = previous === undefined ? [] : internalAddresses(previous);
  if (before.length > 0 && own.join() !== before.join()) {
    return [{ ...base, verdict: 'violates', has: `${clip(own.join(', '), 60)} (was ${clip(before.join(', '), 60)})` }];
  }
  return [{ ...base, verdict: 'meets' }];
};

/** Sorted and in canonical form, so that order and spelling are no change. */
function internalAddresses(node: Node): readonly string[] {
  return node.addresses
    .filter(({ type }) => type === 'InternalIP')
    .map((entry) => parseIp(entry.address) ?? entry.address)
    .sort();
}

/** The guide: "DNS resolution". Violates: a Hostname that is localhost, an IP address, or no RFC 1123 name. */
export const dnsName: Judge = ({ node, type }) => {
  const names = node.addresses.filter(({ type }) => type === 'Hostname').map((entry) => entry.address);
  const bad = names.find(
    (name) => isLocalhost(name) || parseIp(name) !== undefined || !isDns1123Subdomain(name.toLowerCase()),
  );
  const fact: Omit<Fact, 'verdict' | 'has'> = {
    reason: 'dns-name',
    needs: 'a DNS name (RFC 1123)',
    guide: guideOf('dns-name', type),
    field: 'status.addresses[type=Hostname]',
    fix: 'set the host name of the machine, or kubelet --hostname-override, to a name that resolves',
  };
  if (bad !== undefined) return [{ ...fact, verdict: 'violates', has: clip(bad, 60) }];
  return [{ ...fact, verdict: names.length === 0 ? 'unknown' : 'meets', has: clip(names.join(', '), 60) }];
};

function isLocalhost(name: string): boolean {
  const lower = name.toLowerCase();
  return lower === 'localhost' || lower.startsWith('localhost.') || lower.endsWith('.localhost');
}

/** The guide, backend-operator nodes: "Taints: optional, to ensure only operator workloads are scheduled". */
export const operatorUntainted: Judge = ({ node, type, policy }) => {
  if (type !== 'operator') return [];
  const taint = operatorTaintOf(node, policy);
  const taints = policy.operatorTaints.map(({ key, value }) => (value === undefined ? key : `${key}=${value}`));
  const wanted = taints.join(' or ');
  return [
    {
      reason: 'operator-untainted',
      verdict: taint === undefined ? 'violates' : 'meets',
      has: taint === undefined ? 'no operator taint' : clip(taint.key, 40),
      needs: wanted === '' ? 'an operator taint (none is configured)' : `the taint ${wanted}`,
      guide: guideOf('operator-untainted', type),
      field: 'spec.taints',
      fix: `taint the node (kubectl taint nodes ${clip(node.name, 64)} ${taints[0] ?? 'KEY'}:${policy.operatorTaints[0]?.effects[0] ?? 'NoSchedule'}), or set taintOperatorNodes in the policy file`,
    },
  ];
};
