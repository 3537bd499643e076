/**
 * Versions of kubelets, runtimes, drivers and operating systems, as vendors write them. They compare by their numeric cores;
 * only alpha, beta and rc rank below the release (as in semver.org, 11). What else follows a core is a vendor's build of that very
 * release (`v1.30.4+k3s1`, `v1.30.2-eks-1552ad0`, `1.7.27-1`, `1.7.27~ds1`), which semver would wrongly rank below it.
 */
export interface Version {
  readonly core: readonly number[];
  /** Absent for a release. Stage: 0 alpha, 1 beta, 2 rc. Number 0 where none is written. */
  readonly pre?: { readonly stage: number; readonly number: number };
}

const stages = ['alpha', 'beta', 'rc'];

/** Core with an optional v; a stage right after it, with or without a separator (`-rc.1`, `rc1`, `~beta2`, ` Beta`), never behind a `+`. */
const pattern = /^v?([0-9]+(?:\.[0-9]+)*)(?:[-._~ ]?(alpha|beta|rc)(?![a-z])(?:[-._]?([0-9]+))?)?/i;

/**
 * The version at the start of a text; what follows it is ignored. Parts are decimal, so `03` is 3. Undefined where the text does
 * not start with a digit (after one `v`): `unknown.unknown.unknown`, ``, `master`. `v0.0.0-master+$Format` is 0.0.0.
 */
export function parseVersion(text: string): Version | undefined {
  const match = pattern.exec(text);
  if (match?.[1] === undefined) return undefined;
  const core = match[1].split('.').map(Number);
  if (match[2] === undefined) return { core };
  return { core, pre: { stage: stages.indexOf(match[2].toLowerCase()), number: Number(match[3] ?? 0) } };
}

/** Below zero if `a` is lower, above if higher, zero if equal. Missing parts are 0: 1.30 equals 1.30.0. */
export function compareVersions(a: Version, b: Version): number {
  const length = Math.max(a.core.length, b.core.length);
  for (let part = 0; part < length; part += 1) {
    const order = compareNumbers(a.core[part] ?? 0, b.core[part] ?? 0);
    if (order !== 0) return order;
  }
  if (a.pre === undefined || b.pre === undefined) return (a.pre === undefined ? 1 : 0) - (b.pre === undefined ? 1 : 0);
  return compareNumbers(a.pre.stage, b.pre.stage) || compareNumbers(a.pre.number, b.pre.number);
}

/** Not a difference: parts too long for a number are Infinity, and equal. */
function compareNumbers(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
