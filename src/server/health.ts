import express, { type ErrorRequestHandler, type Express } from 'express';

/** One thing that readiness depends on, or that a person should know. */
export interface Check {
  readonly name: string;
  /** `note` is bad news that does not make the replica unready: taking it out of the Service would help nobody. */
  readonly state: 'ok' | 'note' | 'failed';
  readonly detail: string;
}

export interface HealthOptions {
  readonly checks: () => readonly Check[];
  /** Prometheus text, with its content type. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
}

/** GET /healthz, /readyz and /metrics, for a plain port that is not reachable from outside the cluster. */
export function createHealthApp({ checks, metrics }: HealthOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.get('/healthz', (_request, response) => {
    response.type('text/plain').send('ok\n');
  });
  app.get('/readyz', (_request, response) => {
    const all = checks();
    const ready = all.every(({ state }) => state !== 'failed');
    const lines = all.map(({ name, state, detail }) => `[${mark(state)}] ${name}${detail === '' ? '' : `: ${detail}`}`);
    response
      .status(ready ? 200 : 503)
      .type('text/plain')
      .send(`${lines.join('\n')}\n${ready ? 'ready' : 'not ready'}\n`);
  });
  app.get('/metrics', async (_request, response) => {
    const { contentType, text } = await metrics();
    response.set('Content-Type', contentType).send(text);
  });
  app.use((_request, response) => {
    response.status(404).type('text/plain').send('there are /healthz, /readyz and /metrics\n');
  });
  // In place of express's own, which prints the stack.
  const onError: ErrorRequestHandler = (error, _request, response, next) => {
    if (response.headersSent) next(error);
    else response.status(500).type('text/plain').send('internal error\n');
  };
  app.use(onError);
  return app;
}

function mark(state: Check['state']): string {
  if (state === 'ok') return '+';
  return state === 'note' ? '~' : '-';
}
