import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Authority, createAuthority, issueServing } from '../../../src/server/self-signed.ts';
import { renewCertificate, startCertManager } from '../../cluster/cert-manager.ts';
import { namespace, probe, untilCalled, untilFormerPodsEnded, webhookName } from '../../cluster/installation.ts';
import { type PlayedCluster, startPlayedCluster } from '../../cluster/played-release.ts';
import type { Values } from '../../cluster/release.ts';
import { caSecret, tlsSecret } from '../../cluster/self-signed.ts';
import { eventually } from '../../cluster/wait.ts';
import { type Certified, type CertifiedLoad, certified } from '../support/certified.ts';
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

const forced = '--force-conflicts';

/** Upgrades under load, and until what the pods of before have left is over. */
function change(what: string, ...steps: readonly (() => Promise<unknown>)[]): Promise<CertifiedLoad> {
  return underLoad(what, seen, async () => {
    for (const step of steps) {
      await step();
      // As docs/operations.md says.
      await untilFormerPodsEnded(cluster.plane);
      await new Promise((resolve) => setTimeout(resolve, 2_000));
    }
  });
}

const stored = async (): Promise<readonly string[]> => [
  await seen.fingerprintIn(caSecret),
  await seen.fingerprintIn(tlsSecret),
];

describe('on a live release', () => {
  it('cert-manager takes over the CA and the certificate of the server as they are, and no create is lost', async () => {
    const before = await stored();
    expectNoneLost(
      await change('self-signed to cert-manager', () => cluster.release.upgrade({ tls: { mode: 'cert-manager' } })),
    );
    await cluster.plane.apply(['wait', '-n', namespace, '--for=condition=Ready', '--all', 'issuers,certificates']);
    expect(await stored()).toEqual(before);
    await seen.untilServed();
  }, 240_000);

  it('its own issues the next one, and no create is lost', async () => {
    expectNoneLost(
      await change('renewal by cert-manager after that', () =>
        renewCertificate(cluster.plane, { namespace, name: webhookName }),
      ),
    );
  }, 240_000);

  it('the server takes over those of cert-manager as they are, and no create is lost', async () => {
    const before = await stored();
    expectNoneLost(await change('cert-manager to self-signed', () => cluster.release.upgrade()));
    expect(await stored()).toEqual(before);
    await seen.untilServed();
  }, 240_000);

  it('a Secret of the user takes over by way of a caBundle with both authorities, and no create is lost', async () => {
    await giveSecret(company);
    const { body } = await cluster.plane.api.send('GET', caSecret);
    const before = Buffer.from(body.data['ca.crt'], 'base64').toString();
    expectNoneLost(
      await change(
        'self-signed to secret, with both authorities',
        () => cluster.release.upgrade(secretMode(`${company.certPem}${before}`), undefined, forced),
        () => cluster.release.upgrade(secretMode(company.certPem)),
      ),
    );
    expect(new Set(await seen.bundles())).toEqual(new Set([company.certPem]));
  }, 240_000);
});

describe('with tls.mode secret', () => {
  /** What a pod says on its port of health; empty while it says nothing. */
  const said = async (pod: string, path: string): Promise<string> => {
    const answer = await fetch(`http://${cluster.agent.address(pod)}:8080${path}`).catch(() => undefined);
    return (await answer?.text()) ?? '';
  };

  it('a caBundle that holds another CA is told: in what the API server says, /readyz, metrics and log', async () => {
    await cluster.release.upgrade(secretMode(newAuthority().certPem));
    await eventually('workflow pods are refused', async () => (await probe(cluster.plane)).includes('x509'));
    for (const pod of cluster.replicas()) {
      await eventually('it is told', async () => /configuration.*caBundle/.test(await said(pod, '/readyz')), 60_000);
      expect(await said(pod, '/metrics')).toMatch(/^osmo_admission_configuration_gaps [1-9]/m);
      expect(readFileSync(cluster.agent.logFile(pod), 'utf8')).toContain(
        'holds none of the authorities that issued the certificate which this server serves',
      );
    }
    await cluster.release.upgrade(secretMode(company.certPem));
    await untilCalled(cluster.plane);
  }, 120_000);

  it('the way back to self-signed refuses workflow pods until the server has written caBundle, and all is well then', async () => {
    const load = await change('secret to self-signed', () => cluster.release.upgrade());
    expect(load.failed.length).toBeGreaterThan(0);
    await seen.untilServed();
    expectNoneLost(await change('after that', async () => undefined));
  }, 240_000);

  it('the way there without --force-conflicts is refused by the API server: caBundle is the field of the server', async () => {
    await expect(cluster.release.upgrade(secretMode(company.certPem))).rejects.toThrow(
      'conflicts with "osmo-admission-webhook-certificates"',
    );
  }, 120_000);
});
