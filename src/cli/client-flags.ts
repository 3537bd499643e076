import type { Flags, ParsedFlags } from './flags.ts';
import { UsageError } from './io.ts';

/** Who may send reviews, by client certificate. */
export const clientFlags: Flags = {
  'client-ca-file': {
    type: 'string',
    value: 'FILE',
    help: 'PEM of the CAs whose client certificates verify a caller; read again when it changes.',
    default: 'no client certificate is asked for',
    env: 'OSMO_ADMISSION_CLIENT_CA_FILE',
  },
  'client-allowed-names': {
    type: 'string',
    value: 'NAME,…',
    help: 'Common names that verify a caller, separated by commas.',
    default: 'any certificate of those CAs',
    env: 'OSMO_ADMISSION_CLIENT_ALLOWED_NAMES',
  },
  'client-certificate-required': {
    type: 'boolean',
    help: 'Refuse reviews of callers that are not verified, with HTTP 401 or 403, instead of only recording that they are not.',
    env: 'OSMO_ADMISSION_CLIENT_CERTIFICATE_REQUIRED',
  },
};

export interface ClientSettings {
  readonly caFile: string;
  readonly allowedNames: ReadonlySet<string>;
  readonly required: boolean;
}

/** @returns undefined where no client certificate is asked for. @throws UsageError naming the flag and what to give it. */
export function readClientFlags(parsed: ParsedFlags): ClientSettings | undefined {
  const caFile = parsed.string('client-ca-file');
  const names = parsed.string('client-allowed-names');
  const required = parsed.boolean('client-certificate-required');
  if (caFile === undefined) {
    const alone = names !== undefined ? 'client-allowed-names' : 'client-certificate-required';
    if (names !== undefined || required) throw new UsageError(`--${alone} needs --client-ca-file`);
    return undefined;
  }
  const allowed = names === undefined || names === '' ? [] : names.split(',').map((name) => name.trim());
  if (allowed.includes('')) {
    throw new UsageError(`--client-allowed-names is ${JSON.stringify(names)}: give common names separated by commas`);
  }
  return { caFile, allowedNames: new Set(allowed), required };
}
