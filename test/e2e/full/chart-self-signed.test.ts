import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { namespace, untilCalled, webhookName } from '../../cluster/installation.ts';
import { type PlayedCluster, startPlayedCluster } from '../../cluster/played-release.ts';
import { caSecret, tlsSecret } from '../../cluster/self-signed.ts';
import { eventually } from '../../cluster/wait.ts';
import { type Certified, certified } from '../support/certified.ts';
import { expectNoneLost, replacedUnderLoad } from '../support/under-load.ts';

/* The chart with tls.mode self-signed while clients create pods: two replicas that race, renewals, other CAs, upgrades in the middle of them. */

let cluster: PlayedCluster;
let seen: Certified;

beforeAll(async () => {
  cluster = await startPlayedCluster(inject('binaries'));
  seen = certified(cluster.plane, cluster.endpoints);
  await cluster.release.install();
}, 180_000);

afterAll(() => cluster?.close(), 60_000);

const scale = `/apis/apps/v1/namespaces/${namespace}/deployments/${webhookName}/scale`;

async function scaleTo(replicas: number): Promise<void> {
  const options = { contentType: 'application/merge-patch+json' };
  expect((await cluster.plane.api.send('PATCH', scale, { spec: { replicas } }, options)).code).toBe(200);
  await eventually(`${replicas} pods`, () => cluster.replicas().length === replicas, 60_000);
}

/** Another pair is there, by whatever happens. */
async function lose(...paths: readonly string[]): Promise<void> {
  const before = await seen.fingerprintIn(tlsSecret);
  for (const path of paths) expect((await cluster.plane.api.send('DELETE', path)).code).toBe(200);
  await eventually(
    'another certificate is there',
    async () => ![before, 'none'].includes(await seen.fingerprintIn(tlsSecret)),
    120_000,
  );
}

describe('two replicas that start at the same moment', () => {
  it('make one CA and one certificate where there is none, and the API server calls them', async () => {
    await scaleTo(0);
    for (const path of [caSecret, tlsSecret]) await cluster.plane.api.send('DELETE', path);
    await scaleTo(2);
    await untilCalled(cluster.plane);
    await seen.untilServed();
    expect(await seen.served()).toHaveLength(2);
    const made = cluster
      .replicas()
      .flatMap((pod) => readFileSync(cluster.agent.logFile(pod), 'utf8').split('\n'))
      .filter((line) => /a new CA was made|a serving certificate was issued/.test(line));
    expect(made).toHaveLength(2);
    // The CA before it is trusted no more: its Secret was lost, and nobody served it.
    await seen.untilBundled(1);
  }, 120_000);

  it('use what is there', async () => {
    const before = [await seen.fingerprintIn(caSecret), await seen.fingerprintIn(tlsSecret)];
    await scaleTo(0);
    await scaleTo(2);
    await untilCalled(cluster.plane);
    expect([await seen.fingerprintIn(caSecret), await seen.fingerprintIn(tlsSecret)]).toEqual(before);
  }, 120_000);
});

describe('under load', () => {
  it.each([
    ['a renewal', [tlsSecret]],
    ['another CA', [caSecret]],
    ['the loss of CA and certificate', [caSecret, tlsSecret]],
  ])(
    '%s loses no create',
    async (what, paths) => {
      expectNoneLost(await replacedUnderLoad(`self-signed: ${what}`, seen, () => lose(...paths)));
    },
    240_000,
  );

  it('another CA, and an upgrade that replaces every pod in the middle of it, lose no create and no CA', async () => {
    const bundled = await seen.bundles();
    expectNoneLost(
      await replacedUnderLoad('self-signed: another CA during helm upgrade', seen, async () => {
        const before = await seen.fingerprintIn(caSecret);
        await Promise.all([lose(caSecret), cluster.release.upgrade({ podAnnotations: { round: 'second' } })]);
        expect(await seen.fingerprintIn(caSecret)).not.toBe(before);
      }),
    );
    const authority = (await seen.certificateIn(caSecret))?.toString() ?? '';
    for (const bundle of await seen.bundles()) {
      expect(bundle).toContain(authority);
      // The one before it stays for a day.
      expect(bundled.some((one) => bundle.includes(one.slice(0, one.indexOf('-----END'))))).toBe(true);
    }
  }, 240_000);

  it('an upgrade that changes the webhooks leaves caBundle in those that stay', async () => {
    const policy = { rules: { exemptions: { enforcement: 'off' }, placement: { enforcement: 'enforce' } } };
    expectNoneLost(
      await replacedUnderLoad('self-signed: helm upgrade of the policy', seen, async () => {
        await cluster.release.upgrade({ policy });
        await lose(tlsSecret);
      }),
    );
  }, 240_000);
});
