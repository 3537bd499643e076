import { type Labels, label } from '../kube/labels.ts';
import { clip } from '../kube/text.ts';
import { compareVersions, parseVersion } from '../kube/version.ts';
import { isTegraKernel } from '../model/node.ts';
import type { Fact, FactInput, Judge, Verdict } from './fact.ts';
import { guideOf } from './guide.ts';
import { atLeast } from './versions.ts';

interface Stated {
  readonly text: string;
  readonly field: string;
}

const unstated: Stated = { text: '', field: '' };

/** A version that labels state whole, or in parts. Parts that read `unknown` (Jetson) make a text that does not parse. */
function statedBy(labels: Labels, full: string, ...parts: (readonly string[])[]): Stated | undefined {
  const whole = full === '' ? undefined : label(labels, full);
  if (whole !== undefined && parseVersion(whole) !== undefined)
    return { text: whole, field: `metadata.labels[${full}]` };
  for (const keys of parts) {
    const values = keys.map((key) => label(labels, key));
    const first = keys[0] ?? '';
    // A revision may be empty (driver 550.54 has none); major and minor must be numbers.
    const text = values.filter((value) => value !== undefined && value !== '').join('.');
    if (values[0] !== undefined && values[1] !== undefined && parseVersion(text) !== undefined) {
      return { text, field: `metadata.labels[${first}]` };
    }
  }
  return whole === undefined ? undefined : { text: whole, field: `metadata.labels[${full}]` };
}

/** The guide: "NVIDIA Driver 535.216.03+ (x86_64)". Feature discovery labels the node only after it has joined: absent is unknown. */
export const driver: Judge = ({ node, type, settings }) => {
  if (type === undefined || !settings.driver.types.includes(type)) return [];
  const { minimum } = settings.driver;
  const prefix = 'nvidia.com/cuda.driver-version';
  const stated = statedBy(
    node.labels,
    `${prefix}.full`,
    [`${prefix}.major`, `${prefix}.minor`, `${prefix}.revision`],
    ['nvidia.com/cuda.driver.major', 'nvidia.com/cuda.driver.minor', 'nvidia.com/cuda.driver.rev'],
  );
  return [
    {
      reason: 'driver',
      verdict: stated === undefined ? 'unknown' : atLeast(stated.text, minimum),
      has: clip(stated?.text ?? '', 40),
      needs: `${minimum} or later`,
      guide: guideOf('driver', type),
      field: stated?.field ?? `metadata.labels[${prefix}.full]`,
      fix: `install NVIDIA driver ${minimum} or later on this node (with the GPU operator: its driver.version)`,
    },
  ];
};

/**
 * The guide: "CUDA 12.6+ (x86_64)". `cuda.runtime-version` is what the driver supports, not the toolkit installed: driver
 * 535.216.03 itself, which the guide allows, reports 12.2. So it can show that a node meets, never that it violates.
 */
export const cuda: Judge = ({ node, type, settings }) => {
  if (type === undefined || !settings.cuda.types.includes(type)) return [];
  const { minimum, toolkitLabel } = settings.cuda;
  const base = {
    reason: 'cuda' as const,
    needs: `${minimum} or later`,
    guide: guideOf('cuda', type),
    fix: `install CUDA ${minimum} or later on this node (package ${toolkitPackage(minimum)}), then set its label`,
  };
  const toolkit = toolkitLabel === '' ? undefined : label(node.labels, toolkitLabel);
  if (toolkit !== undefined) {
    return [
      {
        ...base,
        verdict: atLeast(toolkit, minimum),
        has: clip(toolkit, 40),
        field: `metadata.labels[${toolkitLabel}]`,
      },
    ];
  }
  const prefix = 'nvidia.com/cuda.runtime-version';
  const stated =
    statedBy(
      node.labels,
      `${prefix}.full`,
      [`${prefix}.major`, `${prefix}.minor`],
      ['nvidia.com/cuda.runtime.major', 'nvidia.com/cuda.runtime.minor'],
    ) ?? unstated;
  const met = stated.text !== '' && atLeast(stated.text, minimum) === 'meets';
  return [
    {
      ...base,
      verdict: met ? 'meets' : 'unknown',
      has: `${parseVersion(stated.text) === undefined ? '' : 'driver supports up to '}${clip(stated.text, 40)}`,
      field: stated.field === '' ? `metadata.labels[${prefix}.full]` : stated.field,
    },
  ];
};

/** NVIDIA's package of a toolkit release: `cuda-toolkit-12-6`. */
function toolkitPackage(version: string): string {
  return `cuda-toolkit-${(parseVersion(version)?.core ?? []).slice(0, 2).join('-')}`;
}

/** The guide: "JetPack 6.2 (Jetson)". No standard label carries it, so an operator-owned label must: of JetPack itself, or of L4T. */
export const jetpack: Judge = ({ node, type, settings }) => {
  if (type === undefined || !settings.jetpack.types.includes(type)) return [];
  const { minimum, label: key, l4tLabel } = settings.jetpack;
  const base = {
    reason: 'jetpack' as const,
    needs: `JetPack ${minimum} or later`,
    guide: guideOf('jetpack', type),
    fix: `flash JetPack ${minimum} or later onto this node (NVIDIA SDK Manager), then set its label`,
  };
  const stated = key === '' ? undefined : label(node.labels, key);
  if (stated !== undefined) {
    return [{ ...base, verdict: atLeast(stated, minimum), has: clip(stated, 40), field: `metadata.labels[${key}]` }];
  }
  const l4t = l4tLabel === '' ? undefined : label(node.labels, l4tLabel);
  if (l4t !== undefined) {
    return [
      {
        ...base,
        verdict: judgeL4t(l4t, settings.jetpack),
        has: `L4T ${clip(l4t, 40)}`,
        field: `metadata.labels[${l4tLabel}]`,
      },
    ];
  }
  const field = key !== '' ? key : l4tLabel;
  return [
    {
      ...base,
      verdict: 'unknown',
      has: '',
      field: field === '' ? 'metadata.labels' : `metadata.labels[${field}]`,
      fix:
        field === ''
          ? 'name a label that carries it under jetpack.label or jetpack.l4tLabel of the policy file'
          : `label the node ${field}=<version>`,
    },
  ];
};

/** An L4T at or above the least one of the table that carries the minimum JetPack meets, also beyond the table; a lower one violates. */
function judgeL4t(l4t: string, { minimum, l4t: table }: FactInput['settings']['jetpack']): Verdict {
  const has = parseVersion(l4t.replace(/^R/i, ''));
  if (has === undefined) return 'unknown';
  const enough = Object.keys(table)
    .filter((version) => atLeast(table[version] ?? '', minimum) === 'meets')
    .flatMap((version) => parseVersion(version) ?? [])
    .sort(compareVersions)[0];
  if (enough === undefined) {
    // Nothing in the table carries the minimum: only what the table names as older is known.
    const named = Object.keys(table).flatMap((version) => parseVersion(version) ?? []);
    return named.some((version) => compareVersions(has, version) <= 0) ? 'violates' : 'unknown';
  }
  return compareVersions(has, enough) >= 0 ? 'meets' : 'violates';
}

/** What a machine shows against what it is called: a tegra kernel on a node called gpu, a jetson without one. */
export const typeFacts: Judge = ({ node, type, policy }): readonly Fact[] => {
  if (type !== 'gpu' && type !== 'jetson') return [];
  const kernel = node.info.kernelVersion;
  const tegra = isTegraKernel(kernel);
  return [
    {
      reason: 'type-facts',
      verdict: kernel === '' ? 'unknown' : tegra === (type === 'jetson') ? 'meets' : 'violates',
      has: clip(kernel, 40),
      needs: type === 'jetson' ? 'a tegra kernel on a jetson node' : 'no tegra kernel on a gpu node',
      guide: guideOf('type-facts', type),
      field: 'status.nodeInfo.kernelVersion',
      fix: `label the node ${policy.policy.nodes.typeLabel} by what the machine is: ${tegra ? 'jetson' : 'gpu or compute'}`,
    },
  ];
};
