import type { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import type { Log } from '../config/watch-files.ts';
import { clip } from '../policy/kube/text.ts';
import { limitLog } from './limited-log.ts';

/** Why a caller is not verified: a few fixed words, for a metric. */
export type UnverifiedReason = 'none' | 'expired' | 'authority' | 'usage' | 'name';

interface Refusal {
  /** 401 where nothing was shown, 403 where it does not do. */
  readonly code: 401 | 403;
  readonly message: string;
}

/** What a caller is told who must be verified and is not. */
export const refusals: Readonly<Record<UnverifiedReason, Refusal>> = {
  none: {
    code: 401,
    message:
      'this webhook takes reviews only with a client certificate, and none was shown: give the API server one by its AdmissionConfiguration',
  },
  expired: { code: 403, message: 'the client certificate has expired, or is not valid yet: renew it' },
  authority: { code: 403, message: 'no authority of --client-ca-file issued the client certificate' },
  usage: { code: 403, message: 'the client certificate is not for clients: its extended key usage lacks clientAuth' },
  name: { code: 403, message: 'the common name of the client certificate is none of --client-allowed-names' },
};

export interface CallersOptions {
  /** Common names; empty: any. */
  readonly allowedNames: ReadonlySet<string>;
  /** Whether a review of an unverified caller is refused. */
  readonly required: boolean;
  /** Told of each review of an unverified caller. */
  readonly onUnverified: (reason: UnverifiedReason) => void;
  readonly log: Log;
  /** Milliseconds of the Unix epoch. */
  readonly now: () => number;
}

/** Who sends reviews, by the client certificate of the connection. */
export interface Callers {
  readonly required: boolean;
  /** Why the caller is not verified; undefined where it is. Judged once a connection: requests cost a look-up in a map. */
  problemOf(request: IncomingMessage): UnverifiedReason | undefined;
}

/** id-kp-clientAuth (RFC 5280, 4.2.1.12). */
const clientAuth = '1.3.6.1.5.5.7.3.2';

export function createCallers({ allowedNames, required, onUnverified, log, now }: CallersOptions): Callers {
  const verdicts = new WeakMap<object, UnverifiedReason | 'verified'>();
  // Anybody who reaches the port can make unverified connections; the metric counts all.
  const logOne = limitLog({ log, most: 1, now });
  const judge = (socket: TLSSocket): UnverifiedReason | 'verified' => {
    const certificate = socket.getPeerX509Certificate();
    const reason = problemWith(socket, certificate, allowedNames, now());
    if (reason === undefined) return 'verified';
    const name = certificate === undefined ? undefined : commonName(certificate);
    logOne('warn', 'a caller is not verified', {
      reason,
      address: socket.remoteAddress,
      ...(name !== undefined && { commonName: clip(name, 64) }),
      ...(reason === 'authority' && { error: String(socket.authorizationError) }),
    });
    return reason;
  };
  return {
    required,
    problemOf({ socket }) {
      let verdict = verdicts.get(socket);
      if (verdict === undefined) {
        verdict = socket instanceof TLSSocket ? judge(socket) : 'none';
        verdicts.set(socket, verdict);
      }
      if (verdict === 'verified') return undefined;
      onUnverified(verdict);
      return verdict;
    },
  };
}

/**
 * The chain was verified by OpenSSL, for the purpose of a TLS client. That takes a certificate which names no usage at all, and this does
 * not: issuers leave the usage out of serving certificates, and one of the same CA must not do.
 */
function problemWith(
  { authorized, authorizationError }: TLSSocket,
  certificate: X509Certificate | undefined,
  allowedNames: ReadonlySet<string>,
  nowMs: number,
): UnverifiedReason | undefined {
  if (certificate === undefined) return 'none';
  const { validFromDate, validToDate, keyUsage } = certificate;
  // Also of a session that is resumed: its chain was verified when it began.
  if (nowMs < validFromDate.getTime() || nowMs > validToDate.getTime()) return 'expired';
  if (!authorized) {
    const code = String(authorizationError);
    if (code === 'INVALID_PURPOSE') return 'usage';
    // Of the authority.
    return code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID' ? 'expired' : 'authority';
  }
  if (!keyUsage?.includes(clientAuth)) return 'usage';
  const name = commonName(certificate);
  return allowedNames.size === 0 || (name !== undefined && allowedNames.has(name)) ? undefined : 'name';
}

/** The common name; undefined where there is none, or several, of which none can be told to be the one. */
function commonName(certificate: X509Certificate): string | undefined {
  const name: unknown = certificate.toLegacyObject().subject?.CN;
  return typeof name === 'string' ? name : undefined;
}
