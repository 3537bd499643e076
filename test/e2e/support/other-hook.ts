import { createServer } from 'node:https';
import { createSelfSigned } from '../../../src/server/self-signed.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';

/** A mutating webhook of somebody else, whose configuration sorts before ours or after it. */
export interface OtherHook {
  /** Whether it is called again after ours was. */
  setReinvocation(policy: 'Never' | 'IfNeeded'): Promise<void>;
  close(): Promise<void>;
}

/** A JSON patch, or what makes it of the pod that is asked about: a hook that may be called again must know what it has done. */
export type HookPatch = readonly object[] | ((pod: Readonly<Record<string, unknown>>) => readonly object[]);

/** Starts one that answers each pod that is created with a label `early-hook` or `late-hook`, by the label's value. */
export async function startOtherHook(
  plane: ControlPlane,
  order: 'early' | 'late',
  patches: Readonly<Record<string, HookPatch>>,
): Promise<OtherHook> {
  // Configurations are called in the order of their names.
  const configuration = `${order === 'early' ? 'aa' : 'zz'}-${order}-hook`;
  const label = `${order}-hook`;
  const now = Date.now();
  const { certPem, keyPem, caPem } = createSelfSigned({
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    notBefore: new Date(now - 60_000),
    notAfter: new Date(now + 60 * 60_000),
  });
  const server = createServer({ cert: certPem, key: keyPem }, (request, response) => {
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (chunk) => {
      text += chunk;
    });
    request.on('end', () => {
      const { request: review } = JSON.parse(text);
      const made = patches[review.object.metadata.labels[label]] ?? [];
      const patch = typeof made === 'function' ? made(review.object) : made;
      const answer = {
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        response: {
          uid: review.uid,
          allowed: true,
          patchType: 'JSONPatch',
          patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
        },
      };
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const setReinvocation: OtherHook['setReinvocation'] = async (reinvocationPolicy) => {
    await plane.apply(
      ['apply', '-f', '-'],
      [
        {
          apiVersion: 'admissionregistration.k8s.io/v1',
          kind: 'MutatingWebhookConfiguration',
          metadata: { name: configuration },
          webhooks: [
            {
              name: `${order}.hook.example`,
              admissionReviewVersions: ['v1'],
              clientConfig: { url: `https://127.0.0.1:${port}/`, caBundle: Buffer.from(caPem).toString('base64') },
              sideEffects: 'None',
              failurePolicy: 'Fail',
              reinvocationPolicy,
              objectSelector: { matchExpressions: [{ key: label, operator: 'Exists' }] },
              rules: [{ apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], operations: ['CREATE'] }],
            },
          ],
        },
      ],
    );
  };
  await setReinvocation('IfNeeded');
  return {
    setReinvocation,
    async close() {
      await plane.kubectl(['delete', 'mutatingwebhookconfiguration', configuration]);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
