import type { ControlPlane } from '../../cluster/control-plane.ts';
import { osmoPod } from '../../support/fixtures.ts';
import { type Times, timed, timesOf } from './timing.ts';

export interface Load {
  readonly failed: readonly string[];
  readonly perSecond: number;
  /** Of one create each. */
  readonly times: Times;
}

/** Dry-run creates of a workflow pod by so many workers, until `more` says no. */
export async function createUnderLoad(
  plane: ControlPlane,
  workers: number,
  more: (done: number) => boolean,
): Promise<Load> {
  const failed: string[] = [];
  const times: number[] = [];
  const startedMs = performance.now();
  const worker = async (): Promise<void> => {
    while (more(times.length)) {
      const path = '/api/v1/namespaces/osmo-workflows/pods?dryRun=All';
      const { result, ms } = await timed(() => plane.api.send('POST', path, osmoPod('onprem-gpu-l40s')));
      times.push(ms);
      if (result.code !== 201) failed.push(String(result.body.message));
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
  const seconds = (performance.now() - startedMs) / 1000;
  return { failed, perSecond: Math.round(times.length / seconds), times: timesOf(times) };
}

/** The same while something happens. */
export async function loadDuring(plane: ControlPlane, workers: number, work: () => Promise<unknown>): Promise<Load> {
  let working = true;
  const end = (): void => {
    working = false;
  };
  const [load] = await Promise.all([createUnderLoad(plane, workers, () => working), work().finally(end)]);
  return load;
}
