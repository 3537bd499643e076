import { createServer } from 'node:http';
import type { Log } from '../../config/watch-files.ts';
import type { Certificates } from '../certificates.ts';
import { createHealthApp, type HealthOptions } from '../health.ts';
import { listen } from '../listen.ts';
import type { OwnCertificates } from './own-certificates.ts';

export interface WaitOptions {
  readonly own: OwnCertificates;
  readonly healthHost: string | undefined;
  readonly healthPort: number;
  readonly metrics: HealthOptions['metrics'];
  readonly log: Log;
  /** Calls back for each signal that asks for the end. */
  readonly onStop: (listener: (signal: string) => void) => void;
}

/**
 * Waits for the first certificate, however long: alive and not ready, so that nobody restarts the replica for it, and `/readyz` says what is
 * missing. @returns undefined where a signal came first.
 */
export async function waitForCertificates(options: WaitOptions): Promise<Certificates | undefined> {
  const { own, healthHost, healthPort, metrics, log, onStop } = options;
  const detail = (): string => `waiting for a serving certificate: ${own.error()}`;
  const health = createServer(
    createHealthApp({ checks: () => [{ name: 'certificate', state: 'failed', detail: detail() }], metrics }),
  );
  const port = await listen(health, healthPort, healthHost, log);
  log('info', 'waiting for a serving certificate', { healthPort: port });
  let isWaiting = true;
  onStop((signal) => {
    // Later on, draining is what a signal asks for.
    if (!isWaiting) return;
    log('info', 'stopping', { signal });
    void own.stop();
  });
  try {
    return await own.first();
  } finally {
    isWaiting = false;
    // The port is the server's own next.
    health.closeAllConnections();
    await new Promise((resolve) => health.close(resolve));
  }
}
