import { label } from '../kube/labels.ts';
import { clip } from '../kube/text.ts';
import { compareVersions, parseVersion } from '../kube/version.ts';
import type { Fact, FactInput, Judge, Verdict } from './fact.ts';
import { guideOf } from './guide.ts';

/** `meets` if `has` is at least `minimum`; `unknown` where either does not parse. */
export function atLeast(has: string, minimum: string): Verdict {
  const actual = parseVersion(has);
  const least = parseVersion(minimum);
  if (actual === undefined || least === undefined) return 'unknown';
  return compareVersions(actual, least) >= 0 ? 'meets' : 'violates';
}

/** The guide: "Kubernetes Version v1.30.0 or later". Vendors append their own suffixes: `v1.30.4+k3s1`, `v1.31.2-eks-1552ad0`. */
export const kubernetesVersion: Judge = ({ node, type, settings }) => [
  {
    reason: 'kubernetes-version',
    verdict: atLeast(node.info.kubeletVersion, settings.kubernetes),
    has: clip(node.info.kubeletVersion, 40),
    needs: `${settings.kubernetes} or later`,
    guide: guideOf('kubernetes-version', type),
    field: 'status.nodeInfo.kubeletVersion',
    fix: `upgrade ${kubeletSource(node.info.kubeletVersion)} to ${settings.kubernetes} or later, after the control plane`,
  },
];

/** What brings the kubelet, by the suffix that its vendor appends to the version. */
function kubeletSource(version: string): string {
  if (version.includes('+k3s')) return 'k3s on this node';
  if (version.includes('+rke2')) return 'RKE2 on this node';
  if (version.includes('-eks-')) return 'the EKS image of this node';
  return 'the package kubelet on this node';
}

/** The guide: "Architecture x86_64 or arm64", and x86_64 for gpu nodes, per type configurable since arm64 GPU servers exist. */
export const architecture: Judge = ({ node, type, settings }) => {
  const allowed = (type === undefined ? undefined : settings.architectures[type]) ?? settings.architectures.any;
  if (allowed === undefined) return [];
  const fromInfo = node.info.architecture;
  const has = fromInfo === '' ? (label(node.labels, 'kubernetes.io/arch') ?? '') : fromInfo;
  return [
    {
      reason: 'architecture',
      verdict: has === '' ? 'unknown' : allowed.includes(has) ? 'meets' : 'violates',
      has: clip(has, 40),
      needs: allowed.join(' or '),
      guide: guideOf('architecture', type),
      field: fromInfo === '' ? 'metadata.labels[kubernetes.io/arch]' : 'status.nodeInfo.architecture',
      fix:
        type === undefined
          ? `use a machine of ${allowed.join(' or ')}`
          : `use a machine of ${allowed.join(' or ')}, or label the node with another type than ${type}`,
    },
  ];
};

/** The guide: "Runtime containerd 1.7.27+". The field reads `containerd://1.7.27-1`. */
export const containerRuntime: Judge = ({ node, type, settings }) => {
  const text = node.info.containerRuntimeVersion;
  const split = text.indexOf('://');
  const name = split === -1 ? '' : text.slice(0, split);
  const named = Object.hasOwn(settings.runtimes, name) ? settings.runtimes[name] : undefined;
  const verdict: Verdict =
    name === '' ? 'unknown' : named === undefined ? 'violates' : atLeast(text.slice(split + 3), named);
  const list = Object.entries(settings.runtimes).map(([runtime, minimum]) => `${runtime} ${minimum}`);
  return [
    {
      reason: 'container-runtime',
      verdict,
      has: clip(text, 40),
      needs: `${list.join(' or ')} or later`,
      guide: guideOf('container-runtime', type),
      field: 'status.nodeInfo.containerRuntimeVersion',
      fix: runtimeFix(text, named === undefined ? list.join(' or ') : `${name} ${named}`),
    },
  ];
};

/** k3s and RKE2 bring a containerd of their own (`containerd://1.7.21-k3s2`); elsewhere it is a package, and the kubelet is told where it listens. */
function runtimeFix(has: string, wanted: string): string {
  if (/-k3s\d/.test(has)) return `upgrade k3s or RKE2 on this node to a release that brings ${wanted} or later`;
  const packages = wanted.startsWith('containerd ') ? ' (package containerd.io or containerd)' : '';
  if (has.startsWith(`${wanted.split(' ')[0]}://`)) return `upgrade to ${wanted} or later on this node${packages}`;
  return `install ${wanted} or later on this node${packages} and name its socket to the kubelet (--container-runtime-endpoint)`;
}

/**
 * The guide: "Ubuntu 22.04+ or equivalent enterprise Linux distribution". The longest prefix that fits decides; an image that
 * nobody named, or whose version does not follow the prefix (`Red Hat Enterprise Linux CoreOS 417...`), is unknown.
 */
export const osImage: Judge = ({ node, type, settings }: FactInput): readonly Fact[] => {
  const image = node.info.osImage;
  let known: { prefix: string; minimum: string } | undefined;
  for (const entry of settings.osImages) {
    const longer = known === undefined || entry.prefix.length > known.prefix.length;
    if (longer && image.startsWith(`${entry.prefix} `)) known = entry;
  }
  const needs = settings.osImages.map(({ prefix, minimum }) => `${prefix} ${minimum}`).join(', ');
  return [
    {
      reason: 'os-image',
      verdict:
        known === undefined ? 'unknown' : atLeast(image.slice(known.prefix.length + 1).trimStart(), known.minimum),
      has: clip(image, 60),
      needs: known === undefined ? `one of ${needs} or later` : `${known.prefix} ${known.minimum} or later`,
      guide: guideOf('os-image', type),
      field: 'status.nodeInfo.osImage',
      fix:
        known === undefined
          ? 'name the image under osImages of the policy file'
          : `upgrade this node to ${known.prefix} ${known.minimum} or later${known.prefix === 'Ubuntu' ? ' (do-release-upgrade)' : ''}`,
    },
  ];
};
