import { createPublicKey, type KeyObject } from 'node:crypto';
import type { Entry } from '../../audit/read/entry.ts';
import { type ChainReport, createChainVerifier } from '../../audit/read/verify-chain.ts';
import { digestOfPrinted } from '../../config/print-policy.ts';
import { describeFlags, type Flags, helpFlag, parseFlags } from '../flags.ts';
import { type CliIo, exitCodes, UsageError } from '../io.ts';
import { readText } from '../review.ts';
import { createMoves } from './moves.ts';
import { readOutput } from './output.ts';
import { renderVerification, type Verification, type VerifiedChain, verificationObject } from './render-verify.ts';
import { eachEntry, type LogFiles, openLog } from './walk.ts';

const flags: Flags = {
  'public-key': {
    type: 'string',
    multiple: true,
    value: 'FILE',
    help: 'PEM of a key that may sign; no other may, and every boot must. May be given several times. Without it each boot’s own key is taken: that proves that nothing was changed since, and not who wrote it.',
  },
  whole: {
    type: 'boolean',
    help: 'The log must begin with its first line and end in order: what is missing at either end is a break, too.',
  },
  output: { type: 'string', short: 'o', value: 'FORMAT', help: 'text or json.', default: 'text' },
  help: helpFlag,
};

export const verifyHelp = `Says whether an audit log is as it was written, and where it is not.

Usage:
  osmo-admission log verify FILE... [--public-key FILE] [--whole] [-o text|json]

Takes the files of any number of replicas, rotated and compressed ones too, in any order. For each replica the first break is named, with file,
line, byte offset and sequence number:

  changed          the line after it names another hash, it is no line of a log, or a policy whose text has another digest than it names
  removed          sequence numbers are missing that no GapRecord declares; a whole file may be
  inserted         a line that the chain goes on without
  reordered        a line that stands elsewhere
  truncated        a file ends within a line
  unsigned         a boot signs nothing, though a key is trusted
  wrong signature  a checkpoint does not fit what it signs
  unknown key      signed with a key that is not trusted

Shown, but no break: lines that the log declares as lost, times in which no server ran, boots that did not end in order, lines that no checkpoint
signs yet. Lines cut off the end, after the last checkpoint, leave no trace here: "log reconcile" shows them.

Flags:
${describeFlags(flags)}

Exit codes:
  0  no break
  1  a break
  2  a file could not be read, or called wrongly
`;

/** `osmo-admission log verify`. */
export async function verifyLog(args: readonly string[], io: CliIo): Promise<number> {
  const parsed = parseFlags(args, flags, io.env);
  if (parsed.boolean('help')) {
    io.stdout(verifyHelp);
    return exitCodes.ok;
  }
  const format = readOutput(parsed.string('output'), ['text', 'json']);
  const trusted = await Promise.all(parsed.strings('public-key').map(loadPublicKey));
  const log = await openLog(parsed.positionals, io);
  const moves = createMoves();
  const reports = await verifyChains(log, trusted, moves.see);
  log.progress.clear();
  const chains = reports.map((report) => ({
    ...report,
    ends: parsed.boolean('whole') ? missingEnds(report) : [],
    hints: report.found === undefined ? [] : moves.hintsFor(report.found.place.file),
  }));
  const verification: Verification = { chains, twice: log.twice, empty: log.empty, trusted: trusted.length > 0 };
  io.stdout(format === 'json' ? verificationObject(verification) : renderVerification(verification));
  const isBroken = chains.some(({ found, ends }) => found !== undefined || ends.length > 0) || chains.length === 0;
  return isBroken ? exitCodes.denied : exitCodes.ok;
}

/** Verifies the chain of each replica. @param also is handed each entry, too: so that one reading serves both. */
export async function verifyChains(
  log: LogFiles,
  trusted: readonly KeyObject[],
  also: (entry: Entry) => void,
): Promise<readonly Omit<VerifiedChain, 'ends' | 'hints'>[]> {
  const chains: Omit<VerifiedChain, 'ends' | 'hints'>[] = [];
  for (const { replica, files } of log.chains) {
    const verifier = createChainVerifier(trusted, digestOfPrinted);
    await eachEntry(files, log.progress, (entry) => {
      verifier.feed(entry);
      also(entry);
    });
    chains.push({ replica, files, ...verifier.end() });
  }
  return chains;
}

/** What is missing at the ends of a log that should be whole. A boot that links to nothing says nothing of what stands before it. */
function missingEnds({ boots }: ChainReport): readonly string[] {
  const [first] = boots;
  const ends: string[] = [];
  if (first !== undefined && first.begins !== 'first') ends.push('what came before its first line is not there');
  if (first?.begins === 'first' && first.goesOn) ends.push('its first boot goes on from a line that is not there');
  boots.forEach((boot, index) => {
    const next = boots[index + 1];
    if (next !== undefined && next.begins !== 'apart') return;
    const which = next === undefined ? 'it' : `boot ${boot.boot}, which the next one does not link to,`;
    if (boot.stopped === '') ends.push(`${which} has no orderly end`);
    // A server that signs does so once more when it ends in order.
    else if (boot.keyId !== '' && boot.unsigned > 0) ends.push(`${which} has an end that no checkpoint signs`);
  });
  return ends;
}

/** @throws UsageError for a file that holds no Ed25519 key. */
export async function loadPublicKey(file: string): Promise<KeyObject> {
  const pem = await readText(file);
  if (pem.includes('PRIVATE KEY')) {
    throw new UsageError(`${file}: holds a private key: give the public one, which "osmo-admission log key" prints`);
  }
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    throw new UsageError(`${file}: holds no PEM of a public key: "osmo-admission log key" prints it`);
  }
  if (key.asymmetricKeyType !== 'ed25519')
    throw new UsageError(`${file}: must hold an Ed25519 key, not ${key.asymmetricKeyType}`);
  return key;
}
