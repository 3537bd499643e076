import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { namespace, untilCalled, webhookName } from '../../cluster/installation.ts';
import type { NodeAgent } from '../../cluster/node-agent/agent.ts';
import { chart, type Release } from '../../cluster/release.ts';
import { eventually } from '../../cluster/wait.ts';
import { osmoPod } from '../../support/fixtures.ts';
import { createUnderLoad } from '../support/load.ts';
import { startReleaseCluster } from '../support/release-cluster.ts';
import { inParallel, timed, timesOf } from '../support/timing.ts';

/*
 * What creates of workflow pods meet while a release is installed, rolled out, killed and away. The chart's own defaults, but for an annotation
 * that each rollout changes.
 */

let plane: ControlPlane;
let agent: NodeAgent;
let release: Release;
let close: () => Promise<void>;

beforeAll(async () => {
  ({ plane, agent, release, close } = await startReleaseCluster(inject('binaries')));
}, 300_000);

afterAll(() => close?.(), 60_000);

interface Attempt {
  readonly atMs: number;
  readonly ms: number;
  readonly code: number;
  readonly message: string;
}

/** One dry create after another, as fast as they are answered, while something happens. */
async function attemptsDuring(workers: number, work: () => Promise<unknown>): Promise<readonly Attempt[]> {
  const attempts: Attempt[] = [];
  let working = true;
  const worker = async (): Promise<void> => {
    while (working) {
      const atMs = Date.now();
      const path = '/api/v1/namespaces/osmo-workflows/pods?dryRun=All';
      const { result, ms } = await timed(() => plane.api.send('POST', path, osmoPod('onprem-gpu-l40s')));
      attempts.push({ atMs, ms, code: result.code, message: String(result.body.message) });
    }
  };
  const end = (): void => {
    working = false;
  };
  await Promise.all([...Array.from({ length: workers }, worker), work().finally(end)]);
  return attempts.sort((a, b) => a.atMs - b.atMs);
}

/** Says when the first and the last of them failed, how many did, and with what. */
function describeFailures(what: string, attempts: readonly Attempt[]): readonly Attempt[] {
  const failed = attempts.filter(({ code }) => code !== 201);
  const at = (attempt: Attempt | undefined): string =>
    attempt === undefined ? 'never' : new Date(attempt.atMs).toISOString();
  const messages = [...new Set(failed.map(({ message }) => message.replace(/\d+\.\d+\.\d+\.\d+:\d+/g, 'ADDRESS')))];
  const { p50, max } = timesOf(failed.map(({ ms }) => ms));
  console.log(
    [
      `${what}: ${failed.length} of ${attempts.length} creates refused`,
      ...(failed.length === 0
        ? []
        : [`, the first ${at(failed[0])}, the last ${at(failed.at(-1))}, each after ${p50} ms (at most ${max})`]),
      ...messages.map((message) => `\n  ${message}`),
    ].join(''),
  );
  return failed;
}

const rollOut = (turn: number, values: object = {}): Promise<unknown> =>
  release.upgrade({ ...values, podAnnotations: { turn: `${turn}` } });

const rolledOut = (turn: number): Promise<void> =>
  eventually(`the pods are of turn ${turn}`, async () => {
    const pods = await plane.api.list(`/api/v1/namespaces/${namespace}/pods`);
    return pods.every(({ metadata }) => Object(metadata).annotations?.turn === `${turn}`);
  });

describe('pods of workflows', () => {
  it('are refused at the first installation from the configurations until the first replica is ready, and no longer', async () => {
    const startedMs = Date.now();
    const attempts = await attemptsDuring(2, async () => {
      await release.install();
      console.log(`installed: ${new Date(startedMs).toISOString()} to ${new Date().toISOString()}`);
      await new Promise((resolve) => setTimeout(resolve, 3_000));
    });
    const failed = describeFailures('at the first installation', attempts);
    expect(failed.every(({ code }) => code === 500)).toBe(true);
    expect(attempts.at(-1)).toMatchObject({ code: 201 });
  }, 120_000);

  it('are none of 20,000 refused while one version after the other is rolled out', async () => {
    let done = 0;
    let rolling = true;
    const dry = createUnderLoad(plane, 16, (count) => {
      done = count;
      return rolling;
    });
    const real = createReal(1_000, () => rolling);
    let turn = 0;
    while (turn < 2 || done < 19_000) {
      turn += 1;
      await rollOut(turn);
      await rolledOut(turn);
      console.log(`turn ${turn} is rolled out: ${new Date().toISOString()}, ${done} dry creates done`);
    }
    rolling = false;
    const [load, created] = await Promise.all([dry, real]);
    const { p50, p99, max } = load.times;
    console.log(
      `rollouts: ${load.times.done} dry and ${created.length} real creates, ${load.perSecond}/s, median ${p50} ms, p99 ${p99} ms, at most ${max} ms, ${load.failed.length} failed`,
    );
    expect(load.failed).toEqual([]);
    expect(created.filter(({ code }) => code !== 201)).toEqual([]);
    expect(load.times.done + created.length).toBeGreaterThanOrEqual(20_000);
  }, 3_600_000);

  it('are refused by a replica that is killed until its endpoint has gone, while the other serves on', async () => {
    await untilPods(2);
    const attempts = await attemptsDuring(4, async () => {
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      console.log(`killed: ${new Date().toISOString()}`);
      await agent.kill(agent.pods()[0] ?? '');
      await new Promise((resolve) => setTimeout(resolve, 10_000));
    });
    describeFailures('a replica is killed', attempts);
    expect(attempts.at(-1)).toMatchObject({ code: 201 });
  }, 60_000);

  it('are refused at once while no replica is ready, and pass as soon as one is', async () => {
    const scale = (replicas: number): Promise<unknown> =>
      plane.apply(['scale', 'deployment', webhookName, '-n', namespace, `--replicas=${replicas}`]);
    const attempts = await attemptsDuring(2, async () => {
      await scale(0);
      await untilPods(0);
      await new Promise((resolve) => setTimeout(resolve, 5_000));
      console.log(`scaled up: ${new Date().toISOString()}`);
      await scale(2);
      await untilCalled(plane);
      console.log(`called: ${new Date().toISOString()}`);
    });
    const failed = describeFailures('no replica is ready', attempts);
    expect(failed.length).toBeGreaterThan(0);
  }, 120_000);

  it.each([
    ['a StatefulSet', true],
    ['a Deployment again', false],
  ])(
    'pass again once the Deployment has become %s, and none is refused while that is rolled out',
    async (what, enabled) => {
      await untilPods(2);
      const values = { audit: { file: { enabled } } };
      const attempts = await attemptsDuring(2, async () => {
        // Helm's own watcher takes a pod for failed that waits for its volume on a machine with other work.
        await release.upgrade(values, undefined, '--wait=legacy');
        await untilCalled(plane);
        await untilPods(2);
      });
      describeFailures(`becoming ${what}`, attempts);
      expect(attempts.at(-1)).toMatchObject({ code: 201 });
      const rollout = await attemptsDuring(2, async () => {
        await rollOut(1, values);
        await rolledOut(1);
      });
      expect(describeFailures(`rollout of ${what}`, rollout)).toEqual([]);
    },
    240_000,
  );

  it('are none refused where the release is uninstalled, installed under monitor, and upgraded to enforce', async () => {
    const uninstalled = await attemptsDuring(2, () => release.uninstall());
    expect(describeFailures('uninstalled', uninstalled)).toEqual([]);
    const installed = await attemptsDuring(2, async () => {
      const said = await release.helm('install', webhookName, chart, '--set', 'policy.preset=monitor', '--wait');
      expect(said).toMatchObject({ code: 0 });
    });
    expect(describeFailures('installed under monitor', installed)).toEqual([]);
    // Given no values, helm takes those of before.
    const enforced = await attemptsDuring(2, () => release.upgrade({ policy: { preset: 'enforce' } }));
    expect(describeFailures('upgraded to enforce', enforced)).toEqual([]);
    await untilCalled(plane);
  }, 240_000);
});

const untilPods = (count: number): Promise<void> =>
  eventually(`${count} pods are there`, () => agent.pods().length === count);

/** Pods that are really made, by a scheduler that nobody is, so that nothing else is done for them. */
async function createReal(count: number, more: () => boolean): Promise<readonly { readonly code: number }[]> {
  const { spec, ...pod } = osmoPod('onprem-gpu-l40s');
  const path = '/api/v1/namespaces/osmo-workflows/pods';
  const indices = Array.from({ length: count }, (_, index) => index);
  return inParallel(indices, 1, async (index) => {
    // Spread over the rollouts.
    if (more()) await new Promise((resolve) => setTimeout(resolve, 50));
    const metadata = { ...Object(pod.metadata), name: `real-${index}` };
    const { code } = await plane.api.send('POST', path, {
      ...pod,
      metadata,
      spec: { ...Object(spec), schedulerName: 'nobody' },
    });
    return { code };
  });
}
