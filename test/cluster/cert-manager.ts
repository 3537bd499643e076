import { createAuthority } from '../../src/server/self-signed.ts';
import type { CertManagerFiles } from './binaries.ts';
import type { ControlPlane } from './control-plane.ts';
import { namespace } from './installation.ts';
import { tail } from './processes.ts';
import { eventually } from './wait.ts';

/*
 * cert-manager's own controllers and CA injector in a test cluster, as cluster-admin. Its webhook, which checks and defaults what users write, is not
 * there: its definitions need no conversion.
 */

export interface CertManager {
  /** Ends it as a kubelet does. @throws Error if it does not end with code 0. */
  stop(): Promise<void>;
  /** Goes on where it was. */
  start(): Promise<void>;
}

/** A Certificate of a cluster. */
export interface CertificateName {
  readonly namespace: string;
  readonly name: string;
}

/**
 * Installs its definitions in place of the stubs that `startCluster` has of them, and starts it. Call it before anything of theirs is applied: that
 * would be deleted with the stubs.
 * @param gates feature gates of its CA injector, as `Name=false`.
 */
export async function startCertManager(
  plane: ControlPlane,
  files: CertManagerFiles,
  gates: readonly string[] = [],
): Promise<CertManager> {
  await plane.apply(['delete', '--ignore-not-found', '-f', files.definitions]);
  // Some of them are larger than the annotation that `kubectl apply` would leave may be.
  await plane.apply(['create', '-f', files.definitions]);
  await plane.apply(['wait', '--for', 'condition=Established', '-f', files.definitions]);
  const name = 'cert-manager';
  const manager: CertManager = {
    async stop() {
      const code = await plane.processes.stop(name);
      if (code !== 0) throw new Error(`cert-manager ended with code ${code}: ${tail(plane.processes.logFile(name))}`);
    },
    async start() {
      await plane.processes.start(name, files.program, [
        ...['--kubeconfig', plane.kubeconfig(), '--feature-gates', gates.join()],
      ]);
    },
  };
  await manager.start();
  return manager;
}

/**
 * Asks for a new certificate now, as `cmctl renew` does: the status has the condition Issuing, with the reason ManuallyTriggered. Resolves when
 * the Certificate has it.
 */
export async function renewCertificate(plane: ControlPlane, { namespace, name }: CertificateName): Promise<void> {
  const path = `/apis/cert-manager.io/v1/namespaces/${namespace}/certificates/${name}`;
  let before = Number.NaN;
  // Its controllers write there, too.
  await eventually(`the condition Issuing of ${name} is written`, async () => {
    const { code, body } = await plane.api.send('GET', path);
    if (code !== 200) throw new Error(`GET ${path}: ${code} ${body.message}`);
    const issuing = {
      type: 'Issuing',
      status: 'True',
      reason: 'ManuallyTriggered',
      message: 'Certificate re-issuance manually triggered',
      observedGeneration: body.metadata.generation,
      lastTransitionTime: new Date().toISOString().replace(/\.\d+/, ''),
    };
    const others = (body.status?.conditions ?? []).filter(({ type }: { type: string }) => type !== 'Issuing');
    before = body.status?.revision ?? 0;
    const changed = { ...body, status: { ...body.status, conditions: [...others, issuing] } };
    const answer = await plane.api.send('PUT', `${path}/status`, changed);
    if (answer.code !== 200 && answer.code !== 409) throw new Error(`PUT ${path}/status: ${answer.body.message}`);
    return answer.code === 200;
  });
  await eventually(`${name} is issued anew`, async () => {
    const { body } = await plane.api.send('GET', path);
    return body.status?.revision === before + 1;
  });
}

/** An Issuer of a user's own beside the webhook, with a CA that nobody has seen yet; the same again replaces the CA. */
export async function giveIssuer(plane: ControlPlane, name: string): Promise<void> {
  const { certPem, keyPem } = createAuthority({
    name,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 400 * 24 * 3_600_000),
  });
  const secretName = `${name}-ca`;
  await plane.apply(
    ['apply', '-n', namespace, '-f', '-'],
    [
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: secretName },
        type: 'kubernetes.io/tls',
        stringData: { 'tls.crt': certPem, 'tls.key': keyPem },
      },
      {
        apiVersion: 'cert-manager.io/v1',
        kind: 'Issuer',
        metadata: { name },
        spec: { ca: { secretName } },
      },
    ],
  );
}
