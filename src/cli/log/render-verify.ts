import { fileText, type Place, placeText } from '../../audit/read/entry.ts';
import type { OrderedFiles } from '../../audit/read/order-files.ts';
import type { BootReport, ChainReport } from '../../audit/read/verify-chain.ts';
import { clip } from '../../policy/kube/text.ts';
import { count, plural } from './output.ts';

export interface VerifiedChain extends ChainReport {
  readonly replica: string;
  readonly files: readonly string[];
  /** What a log that should be whole lacks at its ends. */
  readonly ends: readonly string[];
  /** What may have led to the break, by what servers said of its file: lines that prove nothing themselves. */
  readonly hints: readonly string[];
}

export interface Verification extends Pick<OrderedFiles, 'twice' | 'empty'> {
  readonly chains: readonly VerifiedChain[];
  /** Whether keys were given. */
  readonly trusted: boolean;
}

/** For people: each replica with its boots, then the verdict. */
export function renderVerification({ chains, twice, empty, trusted }: Verification): string {
  const parts = chains.map((chain) => chainText(chain).join('\n'));
  const notes = [
    ...twice.map(({ file, as }) => `${fileText(file)} is the same as ${fileText(as)}: not read`),
    ...empty.map((file) => `${fileText(file)} is empty`),
  ];
  if (notes.length > 0) parts.push(notes.join('\n'));
  parts.push(verdict(chains, trusted));
  return `${parts.join('\n\n')}\n`;
}

function chainText(chain: VerifiedChain): readonly string[] {
  const { replica, cluster, files, boots, lines, lost, found, ends, hints } = chain;
  const of = cluster === '' ? '' : ` of cluster ${shown(cluster)}`;
  return [
    `replica ${shown(replica) || '(no name)'}${of}: ${plural(lines, 'line')} in ${plural(files.length, 'file')}`,
    ...boots.flatMap((boot, index) => bootText(boot, boots[index - 1], boots[index + 1])),
    ...lost.map(
      (entry) =>
        `  lost: ${plural(entry.lost, 'line')} from ${shown(entry.from)} to ${shown(entry.to)}, as ${placeText(entry.place)} declares: ${shown(entry.why)}`,
    ),
    `  ${signedText(chain)}`,
    ...(found === undefined
      ? []
      : [
          `  BREAK, ${found.kind}: ${where(found.place)}, ${found.sequence === 0 ? 'no sequence number' : `sequence ${found.sequence} of boot ${shown(found.boot)}`}: ${found.message}`,
          '  nothing after it was checked',
          ...hints.map((hint) => `  hint, no proof: ${hint}`),
        ]),
    ...ends.map((end) => `  BREAK, truncated: ${end}`),
  ];
}

function bootText(boot: BootReport, before: BootReport | undefined, after: BootReport | undefined): readonly string[] {
  const { begins, place, from, to, lines, decisions, stopped, tornBytes } = boot;
  const gap = before === undefined ? [] : [`  no server: ${shown(before.to)} to ${shown(from)}${apart(boot)}`];
  const beginning =
    begins === 'in the middle' ? `, begins in the middle: lines before ${boot.firstSequence} are not there` : '';
  const goesOn = begins === 'first' && boot.goesOn ? ', goes on from a log that is not there' : '';
  const torn =
    tornBytes === 0 ? '' : `; it found ${plural(tornBytes, 'byte')} of an unfinished line, and kept them aside`;
  return [
    ...gap,
    `  boot ${shown(boot.boot)}: ${shown(from)} to ${shown(to)}, ${plural(lines, 'line')}, ${plural(decisions, 'decision')}, from ${placeText(place)}${beginning}${goesOn}${torn}; ${ending(stopped)}${left(boot, after)}`,
  ];
}

function apart({ begins }: BootReport): string {
  return begins === 'apart' ? ', and the next boot found no log: what was written meanwhile is not known' : '';
}

/** What no later checkpoint will sign, since nothing goes on from it. */
function left({ unsigned }: BootReport, after: BootReport | undefined): string {
  if (after?.begins !== 'apart' || unsigned === 0) return '';
  return `; ${plural(unsigned, 'line')} of it that no checkpoint signs, and the next boot does not link to it`;
}

function ending(stopped: string): string {
  return stopped === '' ? 'no orderly end: it runs, was killed, or its end was cut off' : `ended by ${shown(stopped)}`;
}

function signedText({ signed, boots, checkpoints, unchecked, lines }: ChainReport): string {
  if (checkpoints === 0) return 'nothing is signed';
  if (unchecked > 0) return `${plural(unchecked, 'checkpoint')} not checked: the key is not there, give --public-key`;
  if (signed === undefined) return `none of ${plural(lines, 'line')} is signed`;
  const linked = boots.slice(
    Math.max(
      0,
      boots.findLastIndex(({ begins }) => begins === 'apart'),
    ),
  );
  const after = linked.reduce((sum, { unsigned }) => sum + unsigned, 0);
  const rest =
    after === 0 ? 'to the end' : `${plural(after, 'line')} after it ${after === 1 ? 'is' : 'are'} not signed yet`;
  return `signed up to ${placeText(signed.place)}, ${shown(signed.time)}, with key ${shown(signed.keyId)}: ${rest}`;
}

function verdict(chains: readonly VerifiedChain[], trusted: boolean): string {
  if (chains.length === 0) return 'BROKEN: there is no line';
  const broken = chains.filter(({ found, ends }) => found !== undefined || ends.length > 0).length;
  if (broken > 0) return `BROKEN: ${broken} of ${plural(chains.length, 'chain')}`;
  const lines = chains.reduce((sum, chain) => sum + chain.lines, 0);
  const proof = trusted
    ? 'what is signed was written by the holder of a trusted key'
    : 'this proves integrity, not origin: give --public-key for that';
  return `good: ${plural(lines, 'line')} in ${plural(chains.length, 'chain')}, no break; ${proof}`;
}

function where({ file, line, offset }: Place): string {
  return `${fileText(file)} line ${count(line)} (byte ${count(offset)})`;
}

/** Text of a file that may be forged. */
function shown(text: string): string {
  return clip(text, 253);
}

/** For programs. */
export function verificationObject({ chains, ...rest }: Verification): string {
  const object = {
    apiVersion: 'osmo-admission/v1alpha1',
    kind: 'LogVerification',
    good: chains.length > 0 && chains.every(({ found, ends }) => found === undefined && ends.length === 0),
    chains: chains.map(({ found, ...chain }) => ({ ...chain, ...(found !== undefined && { break: found }) })),
    ...rest,
  };
  return `${JSON.stringify(object, null, 2)}\n`;
}
