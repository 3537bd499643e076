import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { type Installation, install, startCluster } from '../../cluster/installation.ts';
import { createUnderLoad, type Load } from '../support/load.ts';
import { kubeletPolicy } from '../support/policy.ts';
import { createRandom, randomNodes } from '../support/random-cluster.ts';

/* What a create costs with the webhook and without, under load, and that none is lost while the certificate is replaced. */

let plane: ControlPlane;
let webhook: Installation;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  await plane.apply(['create', '-f', '-'], randomNodes(createRandom(1), 8));
}, 120_000);

afterAll(() => plane?.close(), 60_000);

const show = (what: string, { perSecond, times: { done, p50, p99 }, failed }: Load): void =>
  console.log(`${what}: ${done} creates, ${perSecond}/s, median ${p50} ms, p99 ${p99} ms, ${failed.length} failed`);

describe('under load', () => {
  it('10,000 creates by 32 clients fail none', async () => {
    await createUnderLoad(plane, 32, (done) => done < 2_000);
    show('without the webhook', await createUnderLoad(plane, 32, (done) => done < 5_000));
    webhook = await install(plane, { policy: kubeletPolicy() });
    await createUnderLoad(plane, 32, (done) => done < 2_000);
    const result = await createUnderLoad(plane, 32, (done) => done < 10_000);
    show('with the webhook', result);
    expect(result.failed).toEqual([]);
  }, 600_000);

  it('the certificate is replaced five times, by another CA each time, and no create fails', async () => {
    let rotating = true;
    const running = createUnderLoad(plane, 32, () => rotating);
    for (let i = 0; i < 5; i++) await webhook.rotateCertificate();
    rotating = false;
    const result = await running;
    show('while the certificate is replaced', result);
    expect(result.failed).toEqual([]);
    expect(result.times.done).toBeGreaterThan(100);
  }, 300_000);

  it('leaves the nodes that kwok keeps Ready as they are, minutes later', async () => {
    for (const node of await plane.api.list('/api/v1/nodes')) {
      expect(JSON.stringify(node)).not.toMatch(/node\.kubernetes\.io\/(not-ready|unreachable)/);
    }
  });
});
