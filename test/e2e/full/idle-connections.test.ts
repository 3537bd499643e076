import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { install, startCluster } from '../../cluster/installation.ts';
import { osmoPod } from '../../support/fixtures.ts';
import { kubeletPolicy } from '../support/policy.ts';

/*
 * The API server keeps 25 connections to a webhook for 90 s, and does not repeat a POST on one that the server has just closed. So creates
 * come after pauses around that time, each time on all of them.
 */

const pausesSeconds = [60, 70, 80, 85, 88, 89.5, 90];

let plane: ControlPlane;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  await install(plane, { policy: kubeletPolicy() });
}, 120_000);

afterAll(() => plane?.close(), 60_000);

/** What went wrong with 25 creates at once. */
async function creates(): Promise<readonly string[]> {
  const answers = await Promise.all(
    Array.from({ length: 25 }, () =>
      plane.api.send('POST', '/api/v1/namespaces/osmo-workflows/pods?dryRun=All', osmoPod('onprem-gpu-l40s')),
    ),
  );
  return answers.filter(({ code }) => code !== 201).map(({ body }) => String(body.message));
}

describe('creates on kept connections', () => {
  it(
    `fail none after ${pausesSeconds.join(', ')} s of silence`,
    async () => {
      expect(await creates()).toEqual([]);
      const failed: string[] = [];
      for (const seconds of pausesSeconds) {
        await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
        for (const message of await creates()) failed.push(`after ${seconds} s: ${message}`);
      }
      console.log(`${25 * (pausesSeconds.length + 1)} creates, ${failed.length} failed`);
      expect(failed).toEqual([]);
    },
    15 * 60_000,
  );
});
