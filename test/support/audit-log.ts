import { generateKeyPairSync } from 'node:crypto';
import { type ChainState, type Link, link, linkCheckpoint } from '../../src/audit/chain.ts';
import { type BodyOf, type LineBody, type LogStart, noHash, type PolicyRecord } from '../../src/audit/line.ts';
import { readEntry } from '../../src/audit/read/entry.ts';
import { createLineSplitter } from '../../src/audit/read/split-lines.ts';
import { type ChainReport, createChainVerifier } from '../../src/audit/read/verify-chain.ts';
import { parseSigningKey, type SigningKey } from '../../src/audit/signing.ts';
import { compileDefaults } from '../../src/config/parse.ts';
import { digestOfPrinted, printPolicy } from '../../src/config/print-policy.ts';
import type { AuditRecord } from '../../src/policy/model/record.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { record } from './record.ts';

export function newSigningKey(): SigningKey {
  const { privateKey } = generateKeyPairSync('ed25519');
  return parseSigningKey(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 'key.pem');
}

let defaults: ReturnType<typeof compileDefaults> | undefined;

/** A log as the server writes it, made line by line, a second apart unless `paceMs` says otherwise. */
export interface LogWriter {
  /** Begins a boot that links to what is there, or to nothing where `apart`. */
  start(options?: { readonly apart?: boolean }): void;
  add(body: LineBody): string;
  decide(over?: Partial<AuditRecord>): string;
  checkpoint(): string;
  /** The default policy comes into force. */
  policy(over?: Partial<BodyOf<PolicyRecord>>): string;
  /** The sink fails for so many decisions, then works again. */
  lose(count: number): void;
  /** An orderly end: LogStop, then a checkpoint. */
  stop(): void;
  readonly lines: readonly string[];
  text(): string;
  /** Lets so many lines' time go by. */
  rest(steps: number): void;
  /** The time that the next line gets. */
  time(): string;
}

export function createLog(
  options: {
    readonly key?: SigningKey;
    readonly replica?: string;
    readonly fromMs?: number;
    readonly paceMs?: number;
    /** Given the lines, which are then not kept: a log may be larger than the memory. */
    readonly keep?: (line: string) => void;
  } = {},
): LogWriter {
  const { key, replica = 'webhook-0', fromMs = Date.UTC(2026, 10, 25, 12), paceMs = 1000 } = options;
  const lines: string[] = [];
  const { keep = (line: string) => void lines.push(line) } = options;
  let state: ChainState = { cluster: 'lab', replica, boot: '', sequence: 0, previous: noHash };
  let boots = 0;
  let decisions = 0;
  let steps = 0;
  const time = (): string => new Date(fromMs + steps * paceMs).toISOString();
  const take = ({ line, next }: Link, isLost = false): string => {
    state = next;
    steps += 1;
    if (!isLost) keep(line);
    return line;
  };
  const add = (body: LineBody): string => take(link(state, body));
  const decision = (over: Partial<AuditRecord>): AuditRecord => {
    decisions += 1;
    return record({ time: time(), requestUID: `${replica}-${boots}-${decisions}`, ...over });
  };
  const checkpoint = (): string => (key === undefined ? '' : take(linkCheckpoint(state, key, time())));
  return {
    lines,
    time,
    text: () => lines.map((line) => `${line}\n`).join(''),
    start({ apart = false } = {}) {
      boots += 1;
      const { boot, sequence, previous } = state;
      const previousBoot = boot === '' || apart ? null : { boot, sequence, hash: previous };
      const own = `${replica} ${boots}`;
      state = {
        ...state,
        boot: Buffer.from(own.padEnd(16)).toString('hex').slice(0, 32),
        sequence: 0,
        previous: previousBoot?.hash ?? noHash,
      };
      const settings: LogStart['settings'] = {
        fsync: 'interval',
        onError: 'continue',
        sinks: ['file'],
        callerVerification: 'off',
      };
      add({
        ...{ kind: 'LogStart', time: time(), version: '0.1.0', previousBoot, settings, tornTail: null },
        ...{ publicKey: key?.publicKey ?? '', keyId: key?.keyId ?? '' },
      });
    },
    add,
    rest(count) {
      steps += count;
    },
    decide: (over = {}) => add(decision(over)),
    checkpoint,
    policy: (over = {}) => {
      defaults ??= compileDefaults({ rules });
      const { digest, policy } = defaults;
      const text = { digest, preset: policy.preset, policyText: printPolicy(policy) };
      return add({ kind: 'PolicyRecord', time: time(), outcome: 'loaded', ...text, ...over });
    },
    lose(count) {
      const [from, first, before] = [time(), state.sequence + 1, state.previous];
      let to = from;
      for (let i = 0; i < count; i++) {
        to = time();
        take(link(state, decision({})), true);
      }
      const span = { firstSequence: first, lastSequence: first + count - 1, before, from, to };
      add({ kind: 'GapRecord', time: time(), sink: 'file', lost: count, ...span, why: 'no space left on device' });
    },
    stop() {
      add({ kind: 'LogStop', time: time(), signal: 'SIGTERM', records: decisions });
      checkpoint();
    },
  };
}

/** What `log verify` finds in the text of one file, with each boot's own key. */
export function verifyText(text: string): ChainReport {
  const verifier = createChainVerifier([], digestOfPrinted);
  const splitter = createLineSplitter();
  const bytes = Buffer.from(text);
  // In two chunks that part anywhere.
  const middle = Math.floor(bytes.length / 2);
  for (const line of [
    ...splitter.push(bytes.subarray(0, middle)),
    ...splitter.push(bytes.subarray(middle)),
    ...splitter.end(),
  ]) {
    verifier.feed(readEntry('audit.log', line));
  }
  return verifier.end();
}
