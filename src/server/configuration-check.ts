import type { Log } from '../config/watch-files.ts';
import { findGaps, type Gap } from '../manifests/gaps.ts';
import type { LabelledNamespaces, LiveInstallation } from '../policy/model/live-configuration.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import type { BoundRule } from '../policy/rule.ts';
import { settledNamespaces } from '../policy/settled-namespaces.ts';

export interface ConfigurationCheckOptions {
  /** Reads what the API server goes by; looks for pods with the labels, if there are any, outside the namespaces given. Never rejects. */
  readonly read: (
    labels: readonly string[],
    exceptNamespaces: readonly string[],
    signal: AbortSignal,
  ) => Promise<LiveInstallation>;
  /** Whether pods with the workflow labels are looked for at all: that takes the right to list pods. */
  readonly searchPods: boolean;
  readonly rules: readonly BoundRule[];
  readonly policy: () => CompiledPolicy;
  /** PEM of the certificate chain in use. */
  readonly served: () => string;
  /** Where the webhook is installed. */
  readonly namespace: string;
  /** Time between two looks at the configurations; pods are looked for twenty times less often while none is found. */
  readonly intervalMs: number;
  readonly log: Log;
  /** Called with the gaps of each look. */
  readonly onChecked: (gaps: readonly Gap[]) => void;
  readonly now: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

export interface ConfigurationCheck {
  /** Of the last look; undefined before the first. */
  gaps(): readonly Gap[] | undefined;
  /** Looks again now: the policy has changed. */
  again(): void;
  stop(): Promise<void>;
}

/** One look at most takes this long, in milliseconds. */
const patienceMs = 10_000;

/** An API server that keeps no list of pods by label reads them all for one such question. */
const looksPerSearch = 20;

/**
 * Compares the policy in force with the webhook configurations of the cluster, at the start, when the policy changes and from time to time:
 * a policy that covers more than the API server sends would enforce nothing there, and nobody would know. Each gap that appears is logged
 * as an error, once.
 */
export function startConfigurationCheck(options: ConfigurationCheckOptions): ConfigurationCheck {
  const { read, searchPods, rules, policy, served, namespace, intervalMs, log, onChecked, now, sleep } = options;
  const ending = new AbortController();
  let waking = new AbortController();
  let last: readonly Gap[] | undefined;
  let labelled: LabelledNamespaces = { state: 'found', namespaces: [] };
  let searchedFor: CompiledPolicy | undefined;
  let looks = 0;

  const look = async (): Promise<void> => {
    const current = policy();
    const calm = labelled.state === 'found' && labelled.namespaces.length === 0;
    const search = searchPods && (searchedFor !== current || !calm || looks % looksPerSearch === 0);
    looks += 1;
    const signal = AbortSignal.any([ending.signal, AbortSignal.timeout(patienceMs)]);
    const live = await read(search ? current.workflowLabels : [], settledNamespaces(current, now()), signal);
    if (ending.signal.aborted) return;
    if (search) {
      labelled = live.labelled;
      searchedFor = current;
    }
    const gaps = findGaps({ rules, policy: current, namespace, live: { ...live, labelled }, served: served() });
    report(gaps, last, log);
    last = gaps;
    onChecked(gaps);
  };
  const loop = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      // Before the look: a change that comes during it asks for another.
      waking = new AbortController();
      await look().catch((error: unknown) =>
        log('error', 'the webhook configurations could not be compared', { error: String(error) }),
      );
      await sleep(intervalMs, AbortSignal.any([ending.signal, waking.signal]));
    }
  };
  const running = loop();
  return {
    gaps: () => last,
    again: () => waking.abort(),
    async stop() {
      ending.abort();
      await running;
    },
  };
}

/** Only what is new, and the end of the last: whoever makes gaps come and go must not fill the log. */
function report(gaps: readonly Gap[], last: readonly Gap[] | undefined, log: Log): void {
  for (const { where, message } of gaps) {
    if (last?.some((gap) => gap.where === where) !== true) {
      log('error', 'webhook configuration gap', { where, gap: message });
    }
  }
  if (gaps.length === 0 && last?.length !== 0) {
    log('info', 'the webhook configurations are those that the policy needs');
  }
}
