import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { startCluster, untilCalled } from '../../cluster/installation.ts';
import {
  caSecret,
  certificatesLease,
  installSelfSigned,
  type SelfSignedInstallation,
  tlsSecret,
} from '../../cluster/self-signed.ts';
import { eventually } from '../../cluster/wait.ts';
import { type Certified, certified } from '../support/certified.ts';

/* That no create is lost, by 32 clients, whatever happens to the certificates that the server keeps. */

let plane: ControlPlane;
let webhook: SelfSignedInstallation;
let seen: Certified;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  webhook = await installSelfSigned(plane);
  seen = certified(plane, webhook.endpoints);
  await Promise.all(webhook.replicas.map((replica) => replica.startServer()));
  await untilCalled(plane);
}, 120_000);

afterAll(async () => {
  await webhook?.close();
  await plane?.close();
}, 60_000);

/** Deletes Secrets; resolves when every replica serves another certificate. */
async function lose(...paths: readonly string[]): Promise<void> {
  const before = await seen.fingerprintIn(tlsSecret);
  for (const path of paths) expect((await plane.api.send('DELETE', path)).code).toBe(200);
  await eventually(
    'another is there',
    async () => ![before, 'none'].includes(await seen.fingerprintIn(tlsSecret)),
    60_000,
  );
  await seen.untilServed(before);
}

describe('under load', () => {
  it.each([
    ['the certificate is made again five times', [tlsSecret]],
    ['the CA is replaced five times', [caSecret]],
    ['both Secrets are lost five times', [caSecret, tlsSecret]],
  ])(
    '%s, and no create fails',
    async (what, paths) => {
      const load = await seen.during(async () => {
        for (let i = 0; i < 5; i++) await lose(...paths);
      }, 32);
      console.log(
        `${what}: ${load.times.done} creates, ${load.perSecond}/s, p99 ${load.times.p99} ms, ${load.failed.length} failed`,
      );
      expect(load.failed).toEqual([]);
    },
    600_000,
  );

  it('a writer whose Lease was taken away writes on, once it has it again', async () => {
    const load = await seen.during(async () => {
      await plane.api.send('DELETE', certificatesLease);
      await lose(caSecret);
    }, 32);
    expect(load.failed).toEqual([]);
  }, 120_000);
});
