import type { IncomingMessage, ServerResponse } from 'node:http';
import { parseGoDuration } from '../policy/kube/go-duration.ts';
import type { Answer, ReviewHandler } from '../policy/model/handler.ts';
import type { Phase } from '../policy/model/request.ts';
import { type Callers, refusals } from './caller.ts';
import { createBodyReader, maxBodyBytes } from './read-body.ts';
import { sendEarly, sendStatus } from './status.ts';

/** What kube-apiserver waits when a webhook configuration names no timeout. */
const defaultTimeoutMs = 10_000;

/** The longest timeout that a webhook configuration may name. Whoever asks for more is no API server, and must not hold a look-up. */
const maxTimeoutMs = 30_000;

/** Kept back from the API server's timeout for the way there and back, so that our answer arrives before it gives up. */
const timeoutMarginMs = 250;

/** What went wrong with a request before it could be judged: a few fixed words, for a metric. */
export type ClientError =
  | 'aborted'
  | 'slow'
  | 'content-type'
  | 'encoding'
  | 'too-large'
  | 'length'
  | 'timeout-parameter'
  | 'method'
  | 'unverified';

export interface AdmissionEndpointOptions {
  readonly handler: ReviewHandler;
  readonly onClientError: (kind: ClientError) => void;
  /** Left out: nobody is verified, and nobody need be. */
  readonly callers?: Callers;
  /** Told of a handler that breaks its promise and throws; the client gets HTTP 500. */
  readonly onFault?: (error: unknown) => void;
  /** A monotonic clock in milliseconds. */
  readonly now: () => number;
}

export type RequestListener = (request: IncomingMessage, response: ServerResponse) => void;

/** The phase that a path stands for; undefined for paths that are not ours. */
export function phaseOf(url: string): Phase | undefined {
  const end = url.indexOf('?');
  const path = end === -1 ? url : url.slice(0, end);
  if (path === '/mutate') return 'mutate';
  return path === '/validate' ? 'validate' : undefined;
}

/** Answers POST /mutate and /validate, off express's stack: the API server waits for it on every pod. */
export function createAdmissionEndpoint({
  handler,
  onClientError,
  callers,
  onFault,
  now,
}: AdmissionEndpointOptions): RequestListener {
  const refuse = (response: ServerResponse, kind: ClientError, code: number, message: string): void => {
    onClientError(kind);
    sendStatus(response, code, message, kind === 'method' ? { Allow: 'POST' } : {});
  };
  const timeoutOf = createTimeoutReader();
  const readBody = createBodyReader();
  return (request, response) => {
    const url = request.url ?? '';
    const phase = phaseOf(url);
    if (phase === undefined) return sendStatus(response, 404, 'there is nothing here');
    if (request.method !== 'POST') {
      return refuse(response, 'method', 405, `${request.method} is not served here: send an AdmissionReview by POST`);
    }
    const problem = callers === undefined ? 'none' : callers.problemOf(request);
    if (problem !== undefined && callers?.required === true) {
      const { code, message } = refusals[problem];
      return refuse(response, 'unverified', code, message);
    }
    if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) {
      return refuse(response, 'content-type', 415, 'the content type must be application/json');
    }
    if (request.headers['content-encoding'] !== undefined) {
      return refuse(response, 'encoding', 415, 'a content encoding is not understood: send the review as it is');
    }
    const timeoutMs = timeoutOf(url);
    if (timeoutMs === undefined) {
      return refuse(response, 'timeout-parameter', 400, 'the parameter timeout must be a duration such as 10s');
    }
    const given = request.headers['content-length'];
    if (given === undefined) {
      return refuse(response, 'length', 411, 'the length of the body must be given: Content-Length');
    }
    // Node has checked that it is a number.
    const length = Number(given);
    if (length > maxBodyBytes) {
      return refuse(
        response,
        'too-large',
        413,
        `the body is larger than ${maxBodyBytes} bytes, which no AdmissionReview is`,
      );
    }

    const fail = (error: unknown): void => {
      onFault?.(error);
      if (!response.headersSent && !response.destroyed)
        sendStatus(response, 500, "internal error; see the webhook's log");
    };
    const startedMs = now();
    // Where the API server cannot be told from others, all are one.
    readBody(request, length, callers === undefined || problem === undefined ? 'known' : 'stranger', {
      onIncomplete: (kind, answerable) =>
        answerable
          ? refuse(response, kind, 408, 'the body came so slowly that others had to wait for it')
          : onClientError(kind),
      onBody: (body) => {
        const leftMs = timeoutMs - (now() - startedMs);
        // Whoever asked has given up, and what is answered now is for nobody; others wait meanwhile.
        if (leftMs <= 0) {
          refuse(response, 'slow', 408, 'the body came after the time that the parameter timeout gives');
          return undefined;
        }
        try {
          const answer = handler(phase, body, Math.max(1, leftMs - timeoutMarginMs), problem === undefined);
          if (answer instanceof Promise) return answer.then((later) => send(response, later)).catch(fail);
          send(response, answer);
        } catch (error) {
          fail(error);
        }
        return undefined;
      },
    });
  };
}

/** Reads `?timeout=`; undefined where it is no duration. An API server sends the same query each time: the last two answers are kept. */
function createTimeoutReader(): (url: string) => number | undefined {
  const last = new Map<string, number | undefined>();
  return (url) => {
    const query = url.indexOf('?');
    if (query === -1) return defaultTimeoutMs;
    const key = url.slice(query + 1);
    if (last.has(key)) return last.get(key);
    const text = new URLSearchParams(key).get('timeout');
    const timeoutMs = text === null ? defaultTimeoutMs : parseGoDuration(text);
    const answer = timeoutMs === undefined ? undefined : Math.min(timeoutMs, maxTimeoutMs);
    if (last.size >= 2) last.clear();
    last.set(key, answer);
    return answer;
  };
}

function send(response: ServerResponse, { status, contentType, body }: Answer): void {
  // The client may have hung up while a look-up was under way.
  if (!response.destroyed) sendEarly(response, status, contentType, body);
}
