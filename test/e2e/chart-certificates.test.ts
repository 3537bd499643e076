import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type PlayedCluster, startPlayedCluster } from '../cluster/played-release.ts';
import { caSecret, tlsSecret } from '../cluster/self-signed.ts';
import { eventually } from '../cluster/wait.ts';
import { type Certified, certified } from './support/certified.ts';

/* The chart as it comes: the server keeps its own certificates. The other modes, and all that can happen to them: full/chart-*.test.ts. */

let cluster: PlayedCluster;
let seen: Certified;

beforeAll(async () => {
  cluster = await startPlayedCluster(inject('binaries'));
  seen = certified(cluster.plane, cluster.endpoints);
  await cluster.release.install();
}, 180_000);

afterAll(() => cluster?.close(), 60_000);

describe('the chart with its default values', () => {
  it('serves from two pods, by one certificate of one CA, which every caBundle holds', async () => {
    await seen.untilServed();
    expect(await seen.served()).toHaveLength(2);
    const [authority, leaf] = [await seen.certificateIn(caSecret), await seen.certificateIn(tlsSecret)];
    expect(authority !== undefined && leaf?.verify(authority.publicKey)).toBe(true);
    await seen.untilBundled(1);
  });

  it('renews under load, and no create fails', async () => {
    const before = await seen.fingerprintIn(tlsSecret);
    const { failed, handshakes, distrusted } = await seen.during(async () => {
      expect((await cluster.plane.api.send('DELETE', tlsSecret)).code).toBe(200);
      await eventually('it is made again', async () => (await seen.certificateIn(tlsSecret)) !== undefined);
      await seen.untilServed(before);
    });
    expect({ failed, distrusted }).toEqual({ failed: [], distrusted: [] });
    expect(handshakes).toBeGreaterThan(2);
  });

  it('keeps CA, certificate and caBundle over an upgrade', async () => {
    const stored = async (): Promise<readonly string[]> => [
      await seen.fingerprintIn(caSecret),
      await seen.fingerprintIn(tlsSecret),
      ...(await seen.bundles()),
    ];
    const before = await stored();
    const { failed, distrusted } = await seen.during(async () => {
      await cluster.release.upgrade({ podAnnotations: { round: 'second' } });
    });
    expect({ failed, distrusted }).toEqual({ failed: [], distrusted: [] });
    expect(await stored()).toEqual(before);
  });
});
