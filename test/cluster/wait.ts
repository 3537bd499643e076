/** Asks until it is so. @param what a function, where the last look says more. @throws Error after `timeoutMs`, with what was waited for. */
export async function eventually(
  what: string | (() => string),
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (Date.now() < end) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`within ${timeoutMs / 1000} s this never happened: ${typeof what === 'string' ? what : what()}`);
}
