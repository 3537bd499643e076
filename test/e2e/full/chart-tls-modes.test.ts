import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Authority, createAuthority, issueServing } from '../../../src/server/self-signed.ts';
import { startCertManager } from '../../cluster/cert-manager.ts';
import { namespace, probe, webhookName } from '../../cluster/installation.ts';
import { type PlayedCluster, startPlayedCluster } from '../../cluster/played-release.ts';
import type { Values } from '../../cluster/release.ts';
import { caSecret } from '../../cluster/self-signed.ts';
import { eventually } from '../../cluster/wait.ts';
import { type Certified, certified } from '../support/certified.ts';
import { expectNoneLost, underLoad } from '../support/under-load.ts';

/* A live release of the chart goes from one tls.mode to the next while clients create pods; and what a wrong caBundle of the user's own does. */

let cluster: PlayedCluster;
let seen: Certified;

beforeAll(async () => {
  cluster = await startPlayedCluster(inject('binaries'));
  await startCertManager(cluster.plane, inject('certManager'));
  seen = certified(cluster.plane, cluster.endpoints);
  await cluster.release.install();
}, 180_000);

afterAll(() => cluster?.close(), 60_000);

const day = 24 * 3_600_000;
const secretName = 'company-webhook-tls';

function newAuthority(): Authority {
  return createAuthority({
    name: 'company',
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 400 * day),
  });
}

/** Puts a certificate of an authority into the user's Secret. */
async function giveSecret(authority: Authority): Promise<void> {
  const { certPem, keyPem } = issueServing(authority, {
    dnsNames: [`${webhookName}.${namespace}.svc`],
    ipAddresses: [],
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 90 * day),
  });
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: secretName },
    type: 'kubernetes.io/tls',
    stringData: { 'tls.crt': certPem, 'tls.key': keyPem },
  };
  await cluster.plane.apply(['apply', '-n', namespace, '-f', '-'], [secret]);
}

const company = newAuthority();
const secretMode = (caBundle: string): Values => ({ tls: { mode: 'secret', secretName, caBundle } });

describe('on a live release', () => {
  it('from self-signed to cert-manager: no create is lost', async () => {
    expectNoneLost(
      await underLoad('self-signed to cert-manager', seen, async () => {
        await cluster.release.upgrade({ tls: { mode: 'cert-manager' } });
      }),
    );
    await cluster.plane.apply(['wait', '-n', namespace, '--for=condition=Ready', '--all', 'issuers,certificates']);
  }, 240_000);

  it('from cert-manager to self-signed: no create is lost', async () => {
    const load = await seen.during(async () => {
      await cluster.release.upgrade();
      await seen.untilServed();
      await new Promise((resolve) => setTimeout(resolve, 15_000));
    }, 16);
    console.log(`cert-manager to self-signed: ${load.times.done} creates, ${load.failed.length} failed`);
    expectNoneLost(load);
  }, 240_000);

  it('from self-signed to secret', async () => {
    await giveSecret(company);
    const { body } = await cluster.plane.api.send('GET', caSecret);
    const before = Buffer.from(body.data['ca.crt'], 'base64').toString();
    const load = await seen.during(async () => {
      await cluster.release.upgrade(secretMode(`${company.certPem}${before}`));
      await new Promise((resolve) => setTimeout(resolve, 5_000));
      await cluster.release.upgrade(secretMode(company.certPem));
    }, 16);
    console.log(
      `self-signed to secret: ${load.times.done} creates, ${load.failed.length} failed ${load.failed[0] ?? ''}; ${load.distrusted.length} of ${load.handshakes} handshakes not trusted`,
    );
    expectNoneLost(load);
  }, 240_000);
});

describe('with tls.mode secret', () => {
  it('a caBundle that holds another CA is told: in what the API server says, /readyz, metrics and log', async () => {
    await cluster.release.upgrade({ ...secretMode(newAuthority().certPem), reloadInterval: '1s' });
    await eventually('workflow pods are refused', async () => (await probe(cluster.plane)).includes('x509'));
    for (const pod of cluster.replicas()) {
      const health = `http://${cluster.agent.address(pod)}:8080`;
      await eventually('it is told', async () =>
        /\[[-!]\] configuration: .*caBundle/.test(await (await fetch(`${health}/readyz`)).text()),
      );
      expect(await (await fetch(`${health}/metrics`)).text()).toMatch(/^osmo_admission_configuration_gaps [1-9]/m);
      expect(readFileSync(cluster.agent.logFile(pod), 'utf8')).toContain(
        'holds none of the authorities that issued the certificate which this server serves',
      );
    }
  }, 120_000);
});
