import type { X509Certificate } from 'node:crypto';
import { isIssuedBy } from '../../manifests/ca-bundle.ts';
import type { KeyPair } from '../certificates.ts';
import type { Authority } from '../self-signed.ts';
import { distinct, type Found, issuerOf } from './material.ts';

/* When a CA and a serving certificate are due, and which CAs must be trusted. Pure: times are arguments. */

/** In milliseconds. */
export interface Periods {
  readonly caLifeMs: number;
  /** How long before its end a CA is followed by the next one; longer than a serving certificate lives. */
  readonly caRenewBeforeMs: number;
  readonly leafLifeMs: number;
  readonly leafRenewBeforeMs: number;
  /** How long before now a certificate begins: clocks of other machines may be behind. */
  readonly backdateMs: number;
  /** How long every API server has to learn of a caBundle, before a certificate of a new CA in it is served. */
  readonly settleMs: number;
  /** How long a former CA stays trusted after a certificate of the next one was issued: every replica serves that by then. */
  readonly keepFormerMs: number;
}

const dayMs = 24 * 3_600_000;

export const defaultPeriods: Periods = {
  caLifeMs: 3_650 * dayMs,
  caRenewBeforeMs: 365 * dayMs,
  leafLifeMs: 90 * dayMs,
  leafRenewBeforeMs: 30 * dayMs,
  backdateMs: 3_600_000,
  settleMs: 10_000,
  keepFormerMs: dayMs,
};

export interface Situation {
  readonly authority: Found<Authority>;
  readonly serving: Found<KeyPair>;
  /** What this replica serves: the Secret may be gone. */
  readonly served: X509Certificate | undefined;
  /** Certificates of the caBundles as they are. */
  readonly bundled: readonly X509Certificate[];
  readonly nowMs: number;
}

/** Every CA that is known to have been ours, and of the caBundles those that issued what is served. */
function knownAuthorities(situation: Situation): readonly X509Certificate[] {
  const { authority, serving, bundled } = situation;
  const stored = [authority, serving].flatMap((found) => (found.state === 'absent' ? [] : found.trusted));
  const leaves = leavesOf(situation);
  return distinct([
    ...stored,
    ...bundled.filter((certificate) => leaves.some((leaf) => isIssuedBy(leaf, certificate))),
  ]);
}

/** The certificates that replicas may be serving. */
export function leavesOf({ serving, served }: Pick<Situation, 'serving' | 'served'>): readonly X509Certificate[] {
  return distinct([
    ...(serving.state === 'usable' ? [serving.certificate] : []),
    ...(served === undefined ? [] : [served]),
  ]);
}

export type AuthorityDuty =
  | { readonly duty: 'keep' }
  /** Somebody broke it, and what is served is good for long: whoever broke it can mend it, or delete the Secret, which asks for a new one. */
  | { readonly duty: 'wait'; readonly why: string }
  | { readonly duty: 'make'; readonly why: string };

/** What is to be done about the CA. */
export function authorityDuty(situation: Situation, periods: Periods): AuthorityDuty {
  const { authority, serving, nowMs } = situation;
  switch (authority.state) {
    case 'absent':
      return { duty: 'make', why: 'there is none' };
    case 'broken': {
      const isGood =
        serving.state === 'usable' &&
        !endsWithin(serving.certificate, periods.leafRenewBeforeMs, nowMs) &&
        issuerOf(serving.certificate, knownAuthorities(situation)) !== undefined;
      return { duty: isGood ? 'wait' : 'make', why: authority.why };
    }
    case 'usable':
      return endsWithin(authority.certificate, periods.caRenewBeforeMs, nowMs)
        ? { duty: 'make', why: `the one before ends ${authority.certificate.validToDate.toISOString()}` }
        : { duty: 'keep' };
  }
}

/**
 * The CAs that caBundle must hold: the one that signs, then those before it. One that issued what is served never leaves; another does once it
 * has ended, or a certificate of the one that signs was issued long enough ago.
 * @param signing undefined while there is none that can sign.
 */
export function trustedAuthorities(
  signing: X509Certificate | undefined,
  situation: Situation,
  periods: Periods,
): readonly X509Certificate[] {
  const { serving, nowMs } = situation;
  const leaves = leavesOf(situation);
  const isSettled =
    signing !== undefined &&
    serving.state === 'usable' &&
    isIssuedBy(serving.certificate, signing) &&
    serving.certificate.validFromDate.getTime() + periods.backdateMs + periods.keepFormerMs < nowMs;
  const former = knownAuthorities(situation).filter(
    (certificate) =>
      certificate.ca &&
      !endsWithin(certificate, 0, nowMs) &&
      (!isSettled || leaves.some((leaf) => isIssuedBy(leaf, certificate))),
  );
  return distinct(signing === undefined ? former : [signing, ...former]);
}

/** Why a new serving certificate is due; empty where the one that is there is good. @param host by which the API server asks for it. */
export function servingFault(
  serving: Found<KeyPair>,
  signing: X509Certificate,
  host: string,
  nowMs: number,
  periods: Periods,
): string {
  if (serving.state === 'absent') return 'there is none';
  if (serving.state === 'broken') return serving.why;
  const { certificate } = serving;
  if (!isIssuedBy(certificate, signing)) return 'it is of another CA';
  if (certificate.checkHost(host) === undefined) return `it is not for ${host}`;
  if (endsWithin(certificate, periods.leafRenewBeforeMs, nowMs))
    return `it ends ${certificate.validToDate.toISOString()}`;
  return '';
}

export function endsWithin({ validToDate }: X509Certificate, ms: number, nowMs: number): boolean {
  return validToDate.getTime() - nowMs <= ms;
}
