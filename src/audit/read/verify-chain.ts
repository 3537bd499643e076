import { createPublicKey, type KeyObject } from 'node:crypto';
import { field } from '../../policy/model/read.ts';
import { canonicalOf } from '../canonical.ts';
import { hashOf } from '../chain.ts';
import { noHash } from '../line.ts';
import { isSignedBy, keyIdOf } from '../signing.ts';
import { type Break, breakAt } from './break.ts';
import { createChainCheck } from './chain-check.ts';
import { type Entry, type Line, number, object, type Place, placeText, text } from './entry.ts';

/** One run of the server, as far as its lines are there. */
export interface BootReport {
  readonly boot: string;
  readonly place: Place;
  /** Times of its first and last line. */
  readonly from: string;
  to: string;
  readonly version: string;
  readonly keyId: string;
  lines: number;
  decisions: number;
  /** Lines that no checkpoint signs, of it or of a boot that goes on from it. */
  unsigned: number;
  /** How it goes on from the boot before. */
  readonly begins: 'first' | 'linked' | 'apart' | 'in the middle';
  /** Whether its LogStart names a line of an earlier boot. */
  readonly goesOn: boolean;
  /** In the middle: the sequence number of its first line that is there. */
  readonly firstSequence: number;
  /** The signal of its LogStop; empty without one. */
  stopped: string;
  /** Bytes of a line that a writer left unfinished, kept aside at the start. */
  readonly tornBytes: number;
}

/** Lines that the log itself says it lost. */
export interface LostReport {
  readonly place: Place;
  readonly lost: number;
  readonly from: string;
  readonly to: string;
  readonly why: string;
}

export interface ChainReport {
  readonly cluster: string;
  readonly boots: readonly BootReport[];
  readonly lines: number;
  readonly lost: readonly LostReport[];
  readonly checkpoints: number;
  /** Checkpoints of a boot whose key is not known: its LogStart is not there, and none was given. */
  readonly unchecked: number;
  /** The last one whose signature is good. */
  readonly signed: { readonly place: Place; readonly keyId: string; readonly time: string } | undefined;
  /** Lines that no checkpoint signs: those after it, and before each boot that links to nothing those after the last one there. */
  readonly unsigned: number;
  readonly found: Break | undefined;
}

export interface ChainVerifier {
  feed(entry: Entry): void;
  end(): ChainReport;
}

/** More are counted, and not kept. */
const maxLost = 1_000;

/**
 * Verifies the chain of one replica.
 * @param trusted the keys that may sign; none: each boot's own, which proves that nothing was changed since, and not who wrote it.
 * @param digestOfPolicy the digest of a policy by its text; undefined where it is none.
 */
export function createChainVerifier(
  trusted: readonly KeyObject[],
  digestOfPolicy: (text: string) => string | undefined,
): ChainVerifier {
  const trustedKeys = new Map(trusted.map((key) => [keyIdOf(key), key]));
  const boots: BootReport[] = [];
  const lost: LostReport[] = [];
  let keys: ReadonlyMap<string, KeyObject> = trustedKeys;
  let cluster = '';
  let lines = 0;
  let checkpoints = 0;
  let unchecked = 0;
  let signed: ChainReport['signed'];
  /** Boots that the next checkpoint signs: it says nothing of what stands before a boot that links to nothing. */
  let open: BootReport[] = [];
  /** A line after the end of its boot, unless one that comes later shows that it is the end which stands elsewhere. */
  let afterEnd: Break | undefined;

  const start = (line: Line, before: Line | undefined): Break | undefined => {
    const boot = bootOf(line, before);
    boots.push(boot);
    if (boot.begins === 'apart') open = [];
    open.push(boot);
    if (line.header.kind !== 'LogStart') return undefined;
    cluster = text(line.value, 'cluster');
    if (trusted.length === 0) {
      keys = ownKey(line);
      return undefined;
    }
    const keyId = text(line.value, 'keyId');
    if (keyId === '') return breakAt('unsigned', line, 'this boot signs nothing');
    if (trustedKeys.has(keyId)) return undefined;
    return breakAt('unknown key', line, `this boot signs with key ${keyId}, which is not trusted`);
  };

  const checkpoint = (line: Line): Break | undefined => {
    checkpoints += 1;
    const keyId = text(line.value, 'keyId');
    const key = keys.get(keyId);
    if (key === undefined && keys.size === 0) {
      unchecked += 1;
      return undefined;
    }
    if (key === undefined) return breakAt('unknown key', line, `it is signed with key ${keyId}, which is not trusted`);
    if (!isSignedBy(key, line.value)) {
      const since = signed === undefined ? 'the beginning' : placeText(signed.place);
      return breakAt(
        'wrong signature',
        line,
        `the signature is not of this chain: it, or lines since ${since}, were changed`,
      );
    }
    signed = { place: line.place, keyId, time: line.header.time };
    for (const boot of open) boot.unsigned = 0;
    open = open.slice(-1);
    return undefined;
  };

  const policy = (line: Line): Break | undefined => {
    const policyText = field(line.value, 'policyText');
    if (policyText === undefined || digestOfPolicy(String(policyText)) === field(line.value, 'digest'))
      return undefined;
    return breakAt('changed', line, 'the text of its policy has another digest than the one that it names');
  };

  const accept = (line: Line, before: Line | undefined): Break | undefined => {
    lines += 1;
    const { boot, kind, time } = line.header;
    const wrong = boots.at(-1)?.boot === boot ? undefined : (afterEnd ?? start(line, before));
    const current = boots.at(-1);
    if (current !== undefined) {
      // A server that has said that it ends signs that, and says no more.
      if (current.stopped !== '' && kind !== 'Checkpoint') {
        afterEnd ??= breakAt(
          'inserted',
          line,
          'it stands after the orderly end of its boot, as nothing but a checkpoint does',
        );
      }
      current.lines += 1;
      current.unsigned += 1;
      current.to = time;
      if (kind === 'AdmissionRecord') current.decisions += 1;
      if (kind === 'LogStop') current.stopped = text(line.value, 'signal') || 'an orderly stop';
    }
    if (kind === 'GapRecord' && lost.length < maxLost) lost.push(lostOf(line));
    if (wrong !== undefined) return wrong;
    // A member that stands there twice says something else to each reader. As the last line it has no hash anywhere that is over how it is written.
    const canonical = canonicalOf(line.value);
    if (canonical === undefined || hashOf(canonical) !== line.hash)
      return breakAt('changed', line, 'it is not written in canonical form');
    if (kind === 'PolicyRecord') return policy(line);
    return kind === 'Checkpoint' ? checkpoint(line) : undefined;
  };

  const check = createChainCheck(accept);
  return {
    feed: (entry) => void check.feed(entry),
    end() {
      const found = check.end() ?? afterEnd;
      const unsigned = boots.reduce((sum, boot) => sum + boot.unsigned, 0);
      return { cluster, boots, lines, lost, checkpoints, unchecked, signed, unsigned, found };
    },
  };
}

/** The key that a boot says it signs with. */
function ownKey({ value }: Line): ReadonlyMap<string, KeyObject> {
  const pem = text(value, 'publicKey');
  if (pem === '') return new Map();
  try {
    const key = createPublicKey(pem);
    return new Map([[keyIdOf(key), key]]);
  } catch {
    return new Map();
  }
}

function bootOf({ header, value, place }: Line, before: Line | undefined): BootReport {
  const isStart = header.kind === 'LogStart' && header.sequence === 1;
  return {
    boot: header.boot,
    place,
    from: header.time,
    to: header.time,
    version: text(value, 'version'),
    keyId: text(value, 'keyId'),
    lines: 0,
    decisions: 0,
    unsigned: 0,
    begins: !isStart
      ? 'in the middle'
      : header.previous === before?.hash
        ? 'linked'
        : before === undefined
          ? 'first'
          : 'apart',
    goesOn: isStart && header.previous !== noHash,
    firstSequence: header.sequence,
    stopped: '',
    tornBytes: number(object(value, 'tornTail'), 'bytes'),
  };
}

function lostOf({ value, place }: Line): LostReport {
  return {
    place,
    lost: number(value, 'lost'),
    from: text(value, 'from'),
    to: text(value, 'to'),
    why: text(value, 'why'),
  };
}
