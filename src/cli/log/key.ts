import { parseSigningKey } from '../../audit/signing.ts';
import { describeFlags, type Flags, helpFlag, parseFlags } from '../flags.ts';
import { type CliIo, exitCodes, UsageError } from '../io.ts';
import { readText } from '../review.ts';

const flags: Flags = {
  'signing-key': {
    type: 'string',
    value: 'FILE',
    help: 'The key that the server signs checkpoints with: PEM, PKCS#8, Ed25519.',
    env: 'OSMO_ADMISSION_AUDIT_SIGNING_KEY',
  },
  help: helpFlag,
};

export const keyHelp = `Prints the public key that belongs to a signing key, for "log verify --public-key". Keep it where the webhook's host cannot write.

Usage:
  osmo-admission log key --signing-key FILE

Flags:
${describeFlags(flags)}

Exit codes:
  0  printed
  2  no such key
`;

/** `osmo-admission log key`. */
export async function printKey(args: readonly string[], io: CliIo): Promise<number> {
  const parsed = parseFlags(args, flags, io.env);
  if (parsed.boolean('help')) {
    io.stdout(keyHelp);
    return exitCodes.ok;
  }
  const file = parsed.string('signing-key');
  if (file === undefined) throw new UsageError('give the signing key: --signing-key FILE');
  const { publicKey, keyId } = parseSigningKey(await readText(file), file);
  io.stdout(publicKey);
  io.stderr(`key ${keyId}\n`);
  return exitCodes.ok;
}
