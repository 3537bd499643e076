/** What shows the time, to several if they share it. */
export interface Clock {
  nowMs: number;
}

/** A sleep that ends when it is told to. */
export function createPace(clock: Clock) {
  let sleptMs = 0;
  let wake: (() => void) | undefined;
  let onSleep: () => void = () => undefined;
  const asleep = async (): Promise<void> => {
    if (wake === undefined) await new Promise<void>((resolve) => (onSleep = resolve));
  };
  return {
    now: () => clock.nowMs,
    sleptMs: () => sleptMs,
    pass(ms: number) {
      clock.nowMs += ms;
    },
    sleep: (ms: number, signal: AbortSignal) =>
      new Promise<void>((resolve) => {
        sleptMs = ms;
        wake = resolve;
        if (signal.aborted) resolve();
        signal.addEventListener('abort', () => resolve(), { once: true });
        onSleep();
      }),
    asleep,
    /** Ends the sleep; resolves at the next one. */
    async wake() {
      const end = wake;
      wake = undefined;
      end?.();
      await asleep();
    },
  };
}
