import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { giveIssuer, renewCertificate, startCertManager } from '../../cluster/cert-manager.ts';
import { namespace, webhookName } from '../../cluster/installation.ts';
import { type PlayedCluster, startPlayedCluster } from '../../cluster/played-release.ts';
import { caSecret, tlsSecret } from '../../cluster/self-signed.ts';
import { eventually } from '../../cluster/wait.ts';
import { type Certified, type CertifiedLoad, certified } from '../support/certified.ts';
import { expectNoneLost, replacedUnderLoad } from '../support/under-load.ts';

/* The chart with tls.mode cert-manager, by cert-manager's own controllers and CA injector, while clients create pods. */

let cluster: PlayedCluster;
let seen: Certified;

beforeAll(async () => {
  cluster = await startPlayedCluster(inject('binaries'));
  await startCertManager(cluster.plane, inject('certManager'));
  seen = certified(cluster.plane, cluster.endpoints);
}, 180_000);

afterAll(() => cluster?.close(), 60_000);

const leaf = { namespace, name: webhookName };
const ca = { namespace, name: `${webhookName}-ca` };
const longestMs = 90_000;

type Delay = (pod: string) => number;
const atOnce: Delay = () => 0;
/** Another for each pod, the same at every look. */
const anyDelay = (): Delay => {
  const drawn = new Map<string, number>();
  return (pod) => {
    const ms = drawn.get(pod) ?? Math.random() * longestMs;
    drawn.set(pod, ms);
    return ms;
  };
};

/** The same, where the files of pods follow late. */
function lately(what: string, delay: Delay, work: () => Promise<void>): Promise<CertifiedLoad> {
  cluster.agent.delayVolumes(delay);
  return replacedUnderLoad(`cert-manager: ${what}`, seen, work);
}

describe("a user's own issuer", () => {
  const values = { tls: { mode: 'cert-manager', issuerRef: { name: 'company' } } };

  it('pods wait in ContainerCreating for the Secret, and serve once there is an issuer; caBundle is injected', async () => {
    const { plane, release } = cluster;
    const installing = release.install(values);
    await eventually('two pods wait', async () => {
      const pods = await plane.api.list(`/api/v1/namespaces/${namespace}/pods`);
      const waiting = pods.filter((pod) => JSON.stringify(pod).includes(`no secret ${webhookName}-tls`));
      return waiting.length === 2 && JSON.stringify(waiting).includes('ContainerCreating');
    });
    await giveIssuer(cluster.plane, 'company');
    await installing;
    await plane.apply(['wait', '-n', namespace, '--for=condition=Ready', '--all', 'issuers,certificates']);
    await seen.untilServed();
    const { body } = await plane.api.send('GET', tlsSecret);
    const issuer = Buffer.from(body.data['ca.crt'], 'base64').toString();
    expect(new Set(await seen.bundles())).toEqual(new Set([issuer]));
  }, 120_000);

  it.each([
    ['at once', atOnce],
    ['after some time', anyDelay()],
  ] as const)(
    'another CA of the issuer, then a certificate of it that reaches the files %s: no create is lost',
    async (when, delay) => {
      expectNoneLost(
        await lately(`another CA of the user, in the files ${when}`, delay, async () => {
          await giveIssuer(cluster.plane, 'company');
          await renewCertificate(cluster.plane, leaf);
        }),
      );
    },
    240_000,
  );
});

describe('an authority of our own', () => {
  it('takes over on a live release, and no create is lost', async () => {
    expectNoneLost(
      await lately("from the user's issuer to ours", anyDelay(), async () => {
        await cluster.release.upgrade({ tls: { mode: 'cert-manager' } });
      }),
    );
    await cluster.plane.apply(['wait', '-n', namespace, '--for=condition=Ready', '--all', 'issuers,certificates']);
  }, 240_000);

  it.each([
    ['at once', atOnce],
    ['after some time, each pod after another', anyDelay()],
    ['after 90 s', () => longestMs],
  ] as const)(
    'a renewal that reaches the files %s loses no create',
    async (when, delay) => {
      expectNoneLost(await lately(`renewal, in the files ${when}`, delay, () => renewCertificate(cluster.plane, leaf)));
    },
    240_000,
  );

  it('a renewed CA keeps its key, so that it vouches for what is served, whoever writes caBundle', async () => {
    const before = await seen.certificateIn(tlsSecret);
    await renewCertificate(cluster.plane, ca);
    const authority = await seen.certificateIn(caSecret);
    expect(authority !== undefined && before?.verify(authority.publicKey)).toBe(true);
    expectNoneLost(await lately('renewed CA, then leaf', anyDelay(), () => renewCertificate(cluster.plane, leaf)));
  }, 240_000);

  it('a CA whose Secret is deleted gets another key, and no create is lost when the leaf follows', async () => {
    const before = await seen.fingerprintIn(caSecret);
    expectNoneLost(
      await lately('another CA', anyDelay(), async () => {
        expect((await cluster.plane.api.send('DELETE', caSecret)).code).toBe(200);
        await eventually(
          'another CA is there',
          async () => ![before, 'none'].includes(await seen.fingerprintIn(caSecret)),
        );
        await renewCertificate(cluster.plane, leaf);
      }),
    );
  }, 240_000);
});
