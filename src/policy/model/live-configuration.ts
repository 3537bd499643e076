import { field, type JsonObject, readList, readObject, readTime } from './read.ts';

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

/**
 * Since when the API server sends us what it sends now, in milliseconds of the Unix epoch: the last time that a configuration was made, or
 * that somebody changed what is sent or what happens while we are away. `metadata.managedFields` says who set which fields when
 * (kubernetes.io/docs/reference/using-api/server-side-apply); whoever writes the caBundle alone changes nothing of it. Undefined where one is
 * absent or unknown.
 */
export function installedAtOf({ configurations }: LiveInstallation): number | undefined {
  let latest: number | undefined;
  for (const configuration of configurations.values()) {
    if (configuration.state !== 'found') return undefined;
    const metadata = readObject(field(configuration.object, 'metadata'), 'metadata');
    const madeAtMs = readTime(metadata, 'creationTimestamp', 'metadata');
    if (madeAtMs === undefined) return undefined;
    latest = Math.max(latest ?? madeAtMs, madeAtMs);
    for (const value of readList(field(metadata, 'managedFields'), 'metadata.managedFields')) {
      const entry = readObject(value, 'metadata.managedFields[]');
      const owned = JSON.stringify(field(entry, 'fieldsV1') ?? {});
      if (!decisiveFields.some((name) => owned.includes(`"f:${name}"`))) continue;
      latest = Math.max(latest, readTime(entry, 'time', 'metadata.managedFields[]') ?? latest);
    }
  }
  return latest;
}

/** Of a webhook: which requests it gets, and what becomes of them without it. */
const decisiveFields = ['failurePolicy', 'namespaceSelector', 'objectSelector', 'matchConditions', 'rules'];

export type LabelledNamespaces =
  | { readonly state: 'found'; readonly namespaces: readonly string[] }
  | { readonly state: 'unknown'; readonly why: string };
