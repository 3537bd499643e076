import express, { type ErrorRequestHandler, type Express } from 'express';
import { buildStatus } from '../admission/status.ts';
import { phaseOf, type RequestListener } from './admission-endpoint.ts';

/** What is served on the admission port beside admission itself: an answer that helps whoever comes to the wrong place. */
export function createApp(): Express {
  const app = express();
  app.disable('x-powered-by');
  app.use((request, response) => {
    response
      .status(404)
      .type('application/json')
      .send(
        buildStatus(
          404,
          `there is no ${request.method} ${request.path.slice(0, 64)} here: POST an AdmissionReview to /mutate or /validate; health and metrics are on a port of their own`,
        ),
      );
  });
  const onError: ErrorRequestHandler = (_error, _request, response, next) => {
    if (response.headersSent) next(_error);
    else response.status(500).type('application/json').send(buildStatus(500, 'internal error; see the log'));
  };
  app.use(onError);
  return app;
}

/** Sends admission straight to its endpoint: a pass through express's stack costs a quarter of a request on this path. */
export function createAdmissionListener(endpoint: RequestListener, app: Express): RequestListener {
  return (request, response) => {
    if (phaseOf(request.url ?? '') !== undefined) endpoint(request, response);
    else app(request, response);
  };
}
