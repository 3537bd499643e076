import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { giveIssuer, renewCertificate, startCertManager } from '../../cluster/cert-manager.ts';
import { namespace, webhookName } from '../../cluster/installation.ts';
import { type PlayedCluster, startPlayedCluster } from '../../cluster/played-release.ts';
import { type Certified, certified } from '../support/certified.ts';
import { expectNoneLost, replacedUnderLoad } from '../support/under-load.ts';

/*
 * The chart with a CA injector that replaces what caBundle holds, as that of cert-manager 1.18 does by default (its gate CAInjectorMerging; the
 * CA's key rotates there unless its Certificate says otherwise).
 */

let cluster: PlayedCluster;
let seen: Certified;

beforeAll(async () => {
  cluster = await startPlayedCluster(inject('binaries'));
  await startCertManager(cluster.plane, inject('certManager'), ['CAInjectorMerging=false']);
  seen = certified(cluster.plane, cluster.endpoints);
  await cluster.release.install({ tls: { mode: 'cert-manager' } });
}, 180_000);

afterAll(() => cluster?.close(), 60_000);

const leaf = { namespace, name: webhookName };
const ca = { namespace, name: `${webhookName}-ca` };

it('a renewed CA of ours, then a certificate of it that reaches the files 20 s later: no create is lost', async () => {
  cluster.agent.delayVolumes(() => 20_000);
  const load = await replacedUnderLoad('cert-manager before 1.19: renewed CA, then leaf', seen, async () => {
    await renewCertificate(cluster.plane, ca);
    await renewCertificate(cluster.plane, leaf);
  });
  expectNoneLost(load);
  await seen.untilBundled(1);
}, 240_000);

it("another CA of the user's own issuer fails creates until the certificate has reached the files", async () => {
  await giveIssuer(cluster.plane, 'company');
  cluster.agent.delayVolumes(() => 10_000);
  const load = await replacedUnderLoad("cert-manager before 1.19: another CA of the user's", seen, async () => {
    await cluster.release.upgrade({ tls: { mode: 'cert-manager', issuerRef: { name: 'company' } } });
  });
  expect(load.failed.some((message) => message.includes('x509'))).toBe(true);
  expect(load.distrusted.length).toBeGreaterThan(0);
}, 240_000);
