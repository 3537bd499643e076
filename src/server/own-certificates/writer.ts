import { X509Certificate } from 'node:crypto';
import type { Log } from '../../config/watch-files.ts';
import { bundleProblem, certificatesOf, isIssuedBy } from '../../manifests/ca-bundle.ts';
import { caSecretName, productName, serviceHosts, tlsSecretName } from '../../manifests/objects.ts';
import { field, type JsonObject, readObject } from '../../policy/model/read.ts';
import type { KeyPair } from '../certificates.ts';
import { type Authority, createAuthority, issueServing } from '../self-signed.ts';
import { authorityDuty, leavesOf, type Periods, type Situation, servingFault, trustedAuthorities } from './duties.ts';
import { bundlesOf, distinct, type Found, issuerOf, readAuthority, readServing, toPem } from './material.ts';
import type { Store } from './store.ts';

/* What the replica that holds the Lease does: CA, caBundle and serving certificate, in this order, each only once the one before it is right. */

/** A webhook configuration that is there. */
export interface Configuration {
  readonly resource: string;
  readonly object: JsonObject;
}

export interface WriterOptions {
  readonly store: Store;
  readonly namespace: string;
  readonly periods: Periods;
  /** False as soon as another replica may write. */
  readonly isWriter: () => boolean;
  readonly log: Log;
  readonly now: () => number;
}

export interface Writer {
  /**
   * One look. @param served what this replica serves by now. @returns what keeps it from setting all right, for a person; empty where nothing
   * does. @throws ApiError
   */
  look(configurations: readonly Configuration[], served: KeyPair | undefined, signal: AbortSignal): Promise<string>;
}

/** What there is to sign with. */
interface Signing extends Authority {
  readonly certificate: X509Certificate;
}

export function createWriter({ store, namespace, periods, isWriter, log, now }: WriterOptions): Writer {
  /** Since when this replica has seen a CA in every caBundle, by the CA's fingerprint. */
  let trustedSince: { readonly fingerprint: string; readonly atMs: number } | undefined;

  /** Looks in a row in which somebody else wrote first. */
  let overtaken = 0;

  /** Writes the Secret of the CA where CA or list are not what they should be. @returns undefined while there is none to sign with. */
  const setAuthority = async (
    situation: Situation,
    signal: AbortSignal,
  ): Promise<{ readonly signing: Signing | undefined; readonly trusted: readonly X509Certificate[] }> => {
    const { authority, nowMs } = situation;
    const duty = authorityDuty(situation, periods);
    if (duty.duty === 'wait') return { signing: undefined, trusted: trustedAuthorities(undefined, situation, periods) };
    let pair: Authority;
    if (duty.duty === 'make' || authority.state !== 'usable') {
      pair = createAuthority({
        name: caSecretName,
        notBefore: new Date(nowMs - periods.backdateMs),
        notAfter: new Date(nowMs + periods.caLifeMs),
      });
    } else pair = authority.value;
    const signing = { ...pair, certificate: new X509Certificate(pair.certPem) };
    const trusted = trustedAuthorities(signing.certificate, situation, periods);
    const stored = authority.state === 'usable' ? toPem(authority.trusted) : '';
    if (duty.duty === 'keep' && stored === toPem(trusted)) return { signing, trusted };
    const seen = authority.state === 'absent' ? undefined : authority.object;
    const data = { 'tls.crt': pair.certPem, 'tls.key': pair.keyPem, 'ca.crt': toPem(trusted) };
    await write(caSecretName, seen, data, signal);
    if (duty.duty === 'make') {
      log(authority.state === 'broken' ? 'error' : 'info', 'a new CA was made', {
        why: duty.why,
        expires: signing.certificate.validToDate.toISOString(),
        fingerprint: signing.certificate.fingerprint256,
        trusted: trusted.length,
      });
    } else
      log('info', 'the list of trusted CAs was set right', { was: certificatesOf(stored).length, is: trusted.length });
    return { signing, trusted };
  };

  const setBundles = async (
    configurations: readonly Configuration[],
    trusted: readonly X509Certificate[],
    signal: AbortSignal,
  ): Promise<void> => {
    const bundle = Buffer.from(toPem(trusted)).toString('base64');
    for (const { resource, object } of configurations) {
      const wrong = bundlesOf(object).filter((webhook) => webhook.bundle !== bundle);
      if (wrong.length === 0) continue;
      trustedSince = undefined;
      if (!isWriter()) throw new Overtaken();
      if (!(await store.writeBundle(resource, productName, object, bundle, signal))) throw new Overtaken();
      log('info', 'caBundle was set', {
        configuration: `${resource}/${productName}`,
        webhooks: wrong.map(({ name }) => name),
        ...(isInjected(object) && {
          warning: 'cert-manager.io/inject-ca-from is set on it, so that cert-manager writes the same field: remove it',
        }),
      });
    }
  };

  const setServing = async (
    situation: Situation,
    pair: KeyPair | undefined,
    { signing, trusted, settledMs }: { signing: Signing; trusted: readonly X509Certificate[]; settledMs: number },
    signal: AbortSignal,
  ): Promise<void> => {
    const { serving, nowMs } = situation;
    const hosts = serviceHosts(namespace);
    const why = servingFault(serving, signing.certificate, hosts[0] ?? '', nowMs, periods);
    if (why === '') return;
    // Where nothing is served that anybody trusts there is nothing to lose.
    const isInUse = leavesOf(situation).some((leaf) => issuerOf(leaf, trusted) !== undefined);
    if (isInUse && settledMs < periods.settleMs) return;
    const notAfter = Math.min(nowMs + periods.leafLifeMs, signing.certificate.validToDate.getTime());
    const issued = issueServing(signing, {
      dnsNames: hosts,
      ipAddresses: [],
      notBefore: new Date(nowMs - periods.backdateMs),
      notAfter: new Date(notAfter),
      keyPem: keptKey(serving, pair, signing.certificate),
    });
    // The CAs as of now: should the other Secret be lost, they stay trusted.
    const data = { 'tls.crt': issued.certPem, 'tls.key': issued.keyPem, 'ca.crt': toPem(trusted) };
    await write(tlsSecretName, serving.state === 'absent' ? undefined : serving.object, data, signal);
    log(serving.state === 'broken' ? 'error' : 'info', 'a serving certificate was issued', {
      why,
      expires: new Date(notAfter).toISOString(),
    });
  };

  const write = async (
    name: string,
    seen: JsonObject | undefined,
    data: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<void> => {
    if (!isWriter()) throw new Overtaken();
    if (!(await store.writeSecret(name, seen, data, signal))) throw new Overtaken();
  };

  return {
    async look(configurations, pair, signal) {
      try {
        const [authority, serving] = [
          readAuthority(await store.readSecret(caSecretName, signal)),
          readServing(await store.readSecret(tlsSecretName, signal)),
        ];
        const situation: Situation = {
          authority,
          serving,
          served: pair === undefined ? undefined : new X509Certificate(pair.cert),
          bundled: bundledIn(configurations),
          nowMs: now(),
        };
        const { signing, trusted } = await setAuthority(situation, signal);
        await setBundles(configurations, trusted, signal);
        if (signing === undefined) {
          return `${authority.state === 'broken' ? authority.why : ''}; nothing is renewed until it is put back, or deleted, which asks for a new CA`;
        }
        const { fingerprint256: fingerprint } = signing.certificate;
        if (trustedSince?.fingerprint !== fingerprint) trustedSince = { fingerprint, atMs: now() };
        // Nobody calls where there is no configuration.
        const settledMs = configurations.length === 0 ? Number.POSITIVE_INFINITY : now() - trustedSince.atMs;
        await setServing(situation, pair, { signing, trusted, settledMs }, signal);
        overtaken = 0;
        return '';
      } catch (error) {
        if (!(error instanceof Overtaken)) throw error;
        // The next look sees what the other wrote.
        overtaken += 1;
        return overtaken < 3 ? '' : 'somebody else writes the same objects again and again';
      }
    },
  };
}

/** Somebody else wrote first, or holds the Lease by now. */
class Overtaken extends Error {}

/**
 * The key of the certificate before, as long as the CA stays: what is signed with it (the notes of exemptions) stays good over a renewal, on
 * replicas that are behind, too. A CA that was replaced brings a new key: whoever fears for a key deletes the CA.
 */
function keptKey(serving: Found<KeyPair>, served: KeyPair | undefined, signing: X509Certificate): string | undefined {
  const before = serving.state === 'usable' ? serving.value : served;
  if (before === undefined || !isIssuedBy(new X509Certificate(before.cert), signing)) return undefined;
  return before.key.toString();
}

function bundledIn(configurations: readonly Configuration[]): readonly X509Certificate[] {
  return distinct(
    configurations.flatMap(({ object }) =>
      bundlesOf(object).flatMap(({ bundle }) => certificatesOf(Buffer.from(bundle, 'base64').toString('latin1'))),
    ),
  );
}

/** Why a configuration does not trust a certificate; empty where all do. */
export function distrust(configurations: readonly Configuration[], { cert }: KeyPair): string {
  for (const { resource, object } of configurations) {
    for (const { name, bundle } of bundlesOf(object)) {
      const problem = bundleProblem(bundle, cert.toString('latin1'));
      if (problem !== '') return `caBundle of ${resource}/${productName}, webhook ${name}, ${problem}`;
    }
  }
  return '';
}

function isInjected(object: JsonObject): boolean {
  const annotations = readObject(
    field(readObject(field(object, 'metadata'), 'metadata'), 'annotations'),
    'annotations',
  );
  return field(annotations, 'cert-manager.io/inject-ca-from') !== undefined;
}
