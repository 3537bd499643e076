import type { ApiClient } from '../../cluster/api-client.ts';
import { createLease, type Lease, releaseAtEnd } from '../../cluster/lease.ts';
import { readLiveInstallation } from '../../cluster/live-installation.ts';
import type { Log } from '../../config/watch-files.ts';
import { certificatesLeaseName, productName, tlsSecretName } from '../../manifests/objects.ts';
import type { Certificates, KeyPair } from '../certificates.ts';
import { defaultPeriods, endsWithin, type Periods } from './duties.ts';
import { readServing } from './material.ts';
import { createStore } from './store.ts';
import { type Configuration, createWriter, distrust } from './writer.ts';

export interface OwnCertificatesOptions {
  readonly client: ApiClient;
  /** Where the Secrets and the Lease are. */
  readonly namespace: string;
  /** This replica, among the holders of the Lease. */
  readonly identity: string;
  readonly log: Log;
  /** Called with each new pair, and with each new reason why what the Secret holds is not served. */
  readonly onReload: (outcome: 'success' | 'failure', pair: KeyPair, error: string) => void;
  readonly now: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly periods?: Periods;
}

export interface OwnCertificates {
  /** Resolves once there is a certificate that may be served; undefined where `stop` came first. */
  first(): Promise<Certificates | undefined>;
  /** Why there is none yet, or what is wrong now; empty where nothing is. */
  error(): string;
  /** Ends it, and lets go of the Lease. */
  stop(): Promise<void>;
}

/** Five looks, and two more. */
const leaseDurationMs = 15_000;
/** How long a caBundle that was wiped stays so, at most. */
const intervalMs = 2_000;
const waitingIntervalMs = 500;
const patienceMs = 10_000;

/**
 * Certificates without any other component: one replica, which holds a Lease, keeps a CA and a serving certificate in two Secrets and the CA in
 * caBundle of the webhook configurations; every replica serves what the Secret holds, once every caBundle trusts it.
 */
export function startOwnCertificates(options: OwnCertificatesOptions): OwnCertificates {
  const { client, namespace, identity, log, onReload, now, sleep, periods = defaultPeriods } = options;
  const store = createStore(client, namespace);
  const lease = createLease({
    ...{ client, namespace, name: certificatesLeaseName, identity },
    durationMs: leaseDurationMs,
    now,
  });
  const writer = createWriter({ store, namespace, periods, isWriter: () => lease.isHeld(), log, now });
  const ending = new AbortController();
  const listeners: ((pair: KeyPair) => void)[] = [];
  const { promise: first, resolve: begin } = Promise.withResolvers<Certificates | undefined>();
  let pair: KeyPair | undefined;
  /** Why what the Secret holds is not served. */
  let fault = 'no look yet';
  /** What keeps this replica from setting all right. */
  let trouble = '';
  /** Whether there were webhook configurations once: when they go, it is being uninstalled, and nothing is made any more. */
  let wasInstalled = false;

  const certificates = (current: () => KeyPair): Certificates => ({
    current,
    error: () => errorText(),
    onChange: (listener) => void listeners.push(listener),
    close: () => ending.abort(),
  });
  const errorText = (): string => [fault, trouble].filter((text) => text !== '').join('; ');

  const readConfigurations = async (signal: AbortSignal): Promise<readonly Configuration[]> => {
    const query = { name: productName, labels: [], exceptNamespaces: [], signal };
    const { configurations } = await readLiveInstallation(client, query);
    return [...configurations].flatMap(([kind, found]) => {
      if (found.state === 'unknown') throw new Error(`${kind}/${productName} cannot be read: ${found.why}`);
      return found.state === 'absent' ? [] : [{ resource: `${kind.toLowerCase()}s`, object: found.object }];
    });
  };

  /** Serves what the Secret holds, if it is good. */
  const adopt = async (signal: AbortSignal): Promise<string> => {
    const found = readServing(await store.readSecret(tlsSecretName, signal));
    if (found.state === 'absent') return `there is no Secret ${tlsSecretName}`;
    if (found.state === 'broken') return found.why;
    if (found.value.fingerprint === pair?.fingerprint && found.value.key.equals(pair.key)) return '';
    if (endsWithin(found.certificate, 0, now())) return `Secret ${tlsSecretName}: the certificate has expired`;
    // As they are now: the writer's look may have changed them.
    const problem = distrust(await readConfigurations(signal), found.value);
    if (problem !== '') return problem;
    // A pair that the TLS library refuses must not replace one that it serves.
    for (const listener of listeners) listener(found.value);
    const isFirst = pair === undefined;
    pair = found.value;
    const expires = found.certificate.validToDate.toISOString();
    log('info', isFirst ? 'certificate loaded' : 'certificate reloaded', { secret: tlsSecretName, expires });
    onReload('success', pair, '');
    if (isFirst) begin(certificates(() => pair ?? found.value));
    return '';
  };

  const setFault = (text: string): void => {
    if (text === fault) return;
    fault = text;
    if (text === '') return;
    log(pair === undefined ? 'info' : 'error', refusedText(pair), { why: text });
    if (pair !== undefined) onReload('failure', pair, text);
  };
  const setTrouble = (text: string): void => {
    if (text === trouble) return;
    trouble = text;
    if (text !== '') log('error', 'certificates are not kept as they should be; trying again', { why: text });
  };

  const look = async (): Promise<void> => {
    const signal = AbortSignal.any([ending.signal, AbortSignal.timeout(patienceMs)]);
    const configurations = await readConfigurations(signal);
    wasInstalled ||= configurations.length > 0;
    const isGone = wasInstalled && configurations.length === 0;
    let problem = '';
    try {
      if (await holds(lease, !isGone, signal)) {
        if (!isGone) problem = await writer.look(configurations, pair, signal);
      }
    } catch (error) {
      // Whoever cannot write serves what others wrote.
      problem = textOf(error);
    }
    if (ending.signal.aborted) return;
    if (!isGone) setFault(await adopt(signal));
    setTrouble(problem);
  };

  const loop = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      try {
        await look();
      } catch (error) {
        if (ending.signal.aborted) break;
        setTrouble(textOf(error));
      }
      await sleep(pair === undefined ? waitingIntervalMs : intervalMs, ending.signal);
    }
    begin(undefined);
  };
  const running = loop();
  return {
    first: () => first,
    error: errorText,
    async stop() {
      ending.abort();
      await running;
      await releaseAtEnd(lease, (error) =>
        log('warn', 'the Lease was not let go of: another replica writes once it has run out', { error }),
      );
    },
  };
}

/** @param mayMake whether a Lease that is not there is made. */
async function holds(lease: Lease, mayMake: boolean, signal: AbortSignal): Promise<boolean> {
  const { state } = await lease.tryHold(signal);
  if (state !== 'absent') return state === 'held';
  return mayMake && (await lease.create(signal)).state === 'held';
}

function refusedText(pair: KeyPair | undefined): string {
  return pair === undefined ? 'waiting for a serving certificate' : 'certificate not reloaded; the old one is served';
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
