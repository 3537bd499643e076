import { field, type JsonObject, readObject, readTime } from './read.ts';

/** A webhook configuration of the cluster: its object, that there is none, or that it could not be read. */
export type LiveConfiguration =
  | { readonly state: 'found'; readonly object: JsonObject }
  | { readonly state: 'absent' }
  | { readonly state: 'unknown'; readonly why: string };

/** What the API server goes by, as far as a policy can be compared with it. */
export interface LiveInstallation {
  /** By kind, in the order in which they are asked. */
  readonly configurations: ReadonlyMap<string, LiveConfiguration>;
  /** Namespaces in which pods bear the workflow labels, of those that were asked for. */
  readonly labelled: LabelledNamespaces;
}

/** When the younger of the two configurations was made, in milliseconds of the Unix epoch; undefined where one is absent or unknown. */
export function installedAtOf({ configurations }: LiveInstallation): number | undefined {
  let latest: number | undefined;
  for (const configuration of configurations.values()) {
    if (configuration.state !== 'found') return undefined;
    const metadata = readObject(field(configuration.object, 'metadata'), 'metadata');
    const madeAtMs = readTime(metadata, 'creationTimestamp', 'metadata');
    if (madeAtMs === undefined) return undefined;
    latest = Math.max(latest ?? madeAtMs, madeAtMs);
  }
  return latest;
}

export type LabelledNamespaces =
  | { readonly state: 'found'; readonly namespaces: readonly string[] }
  | { readonly state: 'unknown'; readonly why: string };
