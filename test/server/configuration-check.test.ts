import { describe, expect, it } from 'vitest';
import { compileDefaults } from '../../src/config/parse.ts';
import { buildWebhookConfigurations } from '../../src/manifests/webhooks.ts';
import type { LiveInstallation } from '../../src/policy/model/live-configuration.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { type ConfigurationCheck, startConfigurationCheck } from '../../src/server/configuration-check.ts';
import { eventually, selfSigned } from './support.ts';

const own = selfSigned();
const policy = compileDefaults({ rules, ownNamespace: 'osmo-admission' });

/** What the cluster has where the policy's own manifests are applied, or nothing at all. */
function live(applied: boolean): LiveInstallation {
  const objects = buildWebhookConfigurations(rules, policy, 'osmo-admission');
  return {
    labelled: { state: 'found', namespaces: [] },
    configurations: new Map(
      objects.map((object) => {
        const webhooks = (object.webhooks as readonly { clientConfig: object }[]).map((webhook) => ({
          ...webhook,
          clientConfig: { ...webhook.clientConfig, caBundle: Buffer.from(own.caPem).toString('base64') },
        }));
        return [
          String(object.kind),
          applied ? { state: 'found', object: { ...object, webhooks } } : { state: 'absent' },
        ];
      }),
    ),
  };
}

interface Harness {
  readonly check: ConfigurationCheck;
  readonly lines: string[];
  readonly counts: number[];
  /** How long it meant to sleep, each time. */
  readonly sleeps: number[];
  readonly asked: (readonly string[])[];
  wake(): void;
  applied: boolean;
}

function start(applied: boolean): Harness {
  const wakers: (() => void)[] = [];
  const harness: Omit<Harness, 'check'> = {
    lines: [],
    counts: [],
    sleeps: [],
    asked: [],
    applied,
    wake: () => wakers.splice(0).forEach((waker) => void waker()),
  };
  const check = startConfigurationCheck({
    read: async (labels, except) => {
      harness.asked.push([...labels, ...except]);
      return live(harness.applied);
    },
    searchPods: true,
    rules,
    policy: () => policy,
    served: () => own.certPem,
    namespace: 'osmo-admission',
    intervalMs: 30_000,
    log: (level, message, fields) => void harness.lines.push(`${level} ${message} ${String(fields?.where ?? '')}`),
    onChecked: (gaps) => void harness.counts.push(gaps.length),
    now: () => 0,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        harness.sleeps.push(ms);
        if (signal.aborted) resolve();
        signal.addEventListener('abort', () => resolve());
        wakers.push(resolve);
      }),
  });
  return Object.assign(harness, { check });
}

describe('the comparison of policy and webhook configurations', () => {
  it('logs each gap once as an error, looks again soon, and says when all is well', async () => {
    const harness = start(false);
    await eventually('two looks', () => {
      harness.wake();
      return harness.counts.length >= 2;
    });
    expect(harness.check.gaps()).toHaveLength(2);
    expect(harness.lines).toEqual([
      'error webhook configuration gap MutatingWebhookConfiguration/osmo-admission-webhook',
      'error webhook configuration gap ValidatingWebhookConfiguration/osmo-admission-webhook',
    ]);
    expect(new Set(harness.sleeps)).toEqual(new Set([30_000]));
    harness.applied = true;
    await eventually('no gap', () => {
      harness.wake();
      return harness.check.gaps()?.length === 0;
    });
    expect(harness.lines.at(-1)).toBe('info the webhook configurations are those that the policy needs ');
    await harness.check.stop();
  });

  it('looks for pods twenty times less often while none is found, and looks at once when the policy has changed', async () => {
    const harness = start(true);
    await eventually('forty looks', () => {
      harness.wake();
      return harness.counts.length >= 40;
    });
    expect(harness.asked.filter((asked) => asked.includes('osmo.task_uuid')).length).toBeLessThanOrEqual(3);
    expect(harness.check.gaps()).toEqual([]);
    const before = harness.counts.length;
    harness.check.again();
    await eventually('another look', () => harness.counts.length > before);
    await harness.check.stop();
  });

  it('looks for the workflow labels outside the namespaces that are settled', async () => {
    const harness = start(true);
    await eventually('a look', () => harness.counts.length === 1);
    expect(harness.asked[0]).toEqual([
      ...['osmo.workflow_uuid', 'osmo.task_uuid'],
      ...['kube-system', 'osmo', 'osmo-admission', 'osmo-operator', 'osmo-test', 'osmo-workflows'],
    ]);
    await harness.check.stop();
  });
});
