import type { KubeObject } from '../../support/fixtures.ts';

interface TemplateKind {
  readonly apiVersion: string;
  /** Plural. */
  readonly resource: string;
  /** Where the template stands. */
  readonly place: readonly string[];
  /** The rest of a spec that makes no pod by itself, but for a DaemonSet's. */
  readonly spec?: object;
}

const selector = { matchLabels: { app: 'x' } };

/** Every kind that makes pods. */
export const templateKinds: Readonly<Record<string, TemplateKind>> = {
  PodTemplate: { apiVersion: 'v1', resource: 'podtemplates', place: ['template'] },
  ReplicationController: kind('v1', 'replicationcontrollers', { replicas: 0, selector: { app: 'x' } }),
  Deployment: kind('apps/v1', 'deployments', { replicas: 0, selector }),
  ReplicaSet: kind('apps/v1', 'replicasets', { replicas: 0, selector }),
  StatefulSet: kind('apps/v1', 'statefulsets', { replicas: 0, serviceName: 'x', selector }),
  DaemonSet: kind('apps/v1', 'daemonsets', { selector }),
  Job: kind('batch/v1', 'jobs', { suspend: true }),
  CronJob: {
    apiVersion: 'batch/v1',
    resource: 'cronjobs',
    place: ['spec', 'jobTemplate', 'spec', 'template'],
    spec: { suspend: true, schedule: '0 0 1 1 *' },
  },
};

function kind(apiVersion: string, resource: string, spec: object): TemplateKind {
  return { apiVersion, resource, place: ['spec', 'template'], spec };
}

/** A template of pods that bear the label `app: x`. */
export function templateOf(spec: object = {}, labels: object = {}): KubeObject {
  return {
    metadata: { labels: { app: 'x', ...labels } },
    spec: { containers: [{ name: 'c', image: 'x' }], ...spec },
  };
}

/** An object of a kind, with this template. @param more of its spec. */
export function withTemplate(
  kind: string,
  template: KubeObject,
  metadata: { readonly name: string; readonly namespace: string },
  more: object = {},
): KubeObject {
  const { apiVersion, spec } = kindOf(kind);
  const finite = kind.endsWith('Job') ? { restartPolicy: 'Never' } : {};
  const own = inPlace(kind, { ...template, spec: { ...Object(template.spec), ...finite } });
  return { apiVersion, kind, metadata, ...own, ...(spec !== undefined && { spec: { ...spec, ...more, ...own.spec } }) };
}

/** What a merge patch of the kind's template says. */
export function inPlace(kind: string, template: object): { readonly spec?: object } {
  return kindOf(kind).place.reduceRight<object>((inner, key) => ({ [key]: inner }), template);
}

/** Path of a kind's objects in the API. */
export function collectionOf(kind: string, namespace: string): string {
  const { apiVersion, resource } = kindOf(kind);
  return `${apiVersion === 'v1' ? '/api' : '/apis'}/${apiVersion}/namespaces/${namespace}/${resource}`;
}

export function kindOf(kind: string): TemplateKind {
  const found = templateKinds[kind];
  if (found === undefined) throw new Error(`no kind ${kind}`);
  return found;
}
