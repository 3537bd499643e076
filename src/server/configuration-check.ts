import type { Log } from '../config/watch-files.ts';
import { findGaps, type Gap, settledNamespaces } from '../manifests/gaps.ts';
import type { LiveInstallation } from '../policy/model/live-configuration.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import type { BoundRule } from '../policy/rule.ts';

export interface ConfigurationCheckOptions {
  /** Reads what the API server goes by; pods with the labels are not looked for in the namespaces given. Never rejects. */
  readonly read: (
    labels: readonly string[],
    exceptNamespaces: readonly string[],
    signal: AbortSignal,
  ) => Promise<LiveInstallation>;
  readonly rules: readonly BoundRule[];
  readonly policy: () => CompiledPolicy;
  /** Where the webhook is installed. */
  readonly namespace: string;
  /** Time between two looks while there is a gap; twenty times that while there is none. */
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
const calmFactor = 20;

/**
 * Compares the policy in force with the webhook configurations of the cluster, at the start, when the policy changes and from time to time:
 * a policy that covers more than the API server sends would enforce nothing there, and nobody would know. A change is logged, each gap as
 * an error.
 */
export function startConfigurationCheck(options: ConfigurationCheckOptions): ConfigurationCheck {
  const { read, rules, policy, namespace, intervalMs, log, onChecked, now, sleep } = options;
  const ending = new AbortController();
  let waking = new AbortController();
  let last: readonly Gap[] | undefined;

  const look = async (): Promise<void> => {
    const current = policy();
    const signal = AbortSignal.any([ending.signal, AbortSignal.timeout(patienceMs)]);
    const live = await read(current.workflowLabels, settledNamespaces(current, now()), signal);
    if (ending.signal.aborted) return;
    const gaps = findGaps({ rules, policy: current, namespace, live });
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
      const waitMs = last?.length === 0 ? calmFactor * intervalMs : intervalMs;
      await sleep(waitMs, AbortSignal.any([ending.signal, waking.signal]));
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

function report(gaps: readonly Gap[], last: readonly Gap[] | undefined, log: Log): void {
  if (last !== undefined && JSON.stringify(last) === JSON.stringify(gaps)) return;
  for (const { where, message } of gaps) log('error', 'webhook configuration gap', { where, gap: message });
  if (gaps.length === 0) log('info', 'the webhook configurations are those that the policy needs');
}
