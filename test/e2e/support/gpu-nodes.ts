import { stringify } from 'yaml';
import type { ApiAnswer, SendOptions } from '../../cluster/api-client.ts';
import { type ControlPlane, kwokAnnotation } from '../../cluster/control-plane.ts';
import { fixtureNode, type KubeObject } from '../../support/fixtures.ts';
import { apply } from '../../support/json-patch.ts';
import { kubeletOf } from './nodes.ts';

/* GPU nodes of a test cluster, and their marks. */

export const mark = 'osmo-admission/quarantined';
export const verified = 'osmo-admission/verified';
export const driver = 'nvidia.com/cuda.driver-version.full';

/** The default policy, but for these settings. */
export const quarantinePolicy = (quarantine: object = {}, conformance: object = {}): string =>
  stringify({
    apiVersion: 'osmo-admission/v1alpha1',
    kind: 'AdmissionPolicy',
    rules: { 'node-quarantine': quarantine, 'node-conformance': conformance },
  });

/** A GPU node as its kubelet registers it, kept Ready by kwok; the driver's label comes later where it is undefined. */
export async function registerGpuNode(plane: ControlPlane, name: string, version?: string): Promise<ApiAnswer> {
  const labels = { ...Object(Object(fixtureNode('gpu-1').metadata).labels), 'kubernetes.io/hostname': name };
  for (const key of Object.keys(labels)) if (key.startsWith('nvidia.com/cuda.driver')) delete labels[key];
  const node = apply(fixtureNode('gpu-1'), [
    {
      op: 'replace',
      path: '/metadata',
      value: {
        name,
        annotations: kwokAnnotation,
        labels: { ...labels, ...(version !== undefined && { [driver]: version }) },
      },
    },
  ]) as KubeObject;
  return plane.api.send('POST', '/api/v1/nodes', node, { as: kubeletOf(name) });
}

/** What a node bears. */
export async function marksOf(
  plane: ControlPlane,
  name: string,
): Promise<{ mark: string | undefined; verified: string | undefined }> {
  const { body } = await plane.api.send('GET', `/api/v1/nodes/${name}`);
  return { mark: body.metadata.labels[mark], verified: body.metadata.annotations?.[verified] };
}

/** Sets labels of a node, or takes them away. @param path a subresource, such as `/status`. */
export function setNodeLabels(
  plane: ControlPlane,
  name: string,
  labels: object,
  options: SendOptions = {},
  path = '',
): Promise<ApiAnswer> {
  const merge = { contentType: 'application/merge-patch+json', ...options };
  return plane.api.send('PATCH', `/api/v1/nodes/${name}${path}`, { metadata: { labels } }, merge);
}
