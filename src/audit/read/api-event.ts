import { field, isObject, type JsonObject } from '../../policy/model/read.ts';
import { number, object, text } from './entry.ts';

/** One request, as the API server's own audit log has it (audit.k8s.io/v1). */
export interface ApiEvent {
  readonly auditId: string;
  readonly level: string;
  /** As an audit record has it: `update` also for a patch. */
  readonly verb: string;
  readonly isPatch: boolean;
  /** Whom the webhook sees: the one who is impersonated, if there is one. */
  readonly user: string;
  readonly group: string;
  /** With its subresource: `pods/binding`. */
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly code: number;
  /** Milliseconds of the Unix epoch. */
  readonly receivedMs: number;
  readonly doneMs: number;
  readonly time: string;
  /** What our webhooks answered. */
  readonly calls: readonly ApiCall[];
  /** Webhooks of ours that failed and were passed over. */
  readonly failedOpen: readonly string[];
  /** Phases of ours in which a call got no answer: passed over, or the request was refused for it. */
  readonly unanswered: readonly string[];
  /** Whether a webhook may have been called more than once for it; the API server keeps the annotation of the first call. */
  readonly mayCallAgain: boolean;
  /** What was sent: from level Request up. */
  readonly body: unknown;
}

export interface ApiCall {
  readonly webhook: string;
  readonly phase: string;
  readonly hash: string;
}

/** Names of our webhooks: `pods.validate.osmo-admission`. */
const ours = /^[a-z-]+\.(mutate|validate)\.osmo-admission$/;
const hashKey = '/record-hash';
const failedOpenKey = /^failed-open\.(?:mutation|mutating|validating)\.webhook\.admission\.k8s\.io\//;

/** What the API server says, with HTTP 500, where a webhook that it may not pass over does not answer. */
const failedCall = /^Internal error occurred: failed calling webhook "([^"]*)"/;

const reinvokedKey = /^mutation\.webhook\.admission\.k8s\.io\/round_[1-9]/;

/** @returns undefined for an event of a stage before the answer; `bad` where it is no JSON of that kind, or has no time that can be read. */
export function readApiEvent(bytes: Uint8Array): ApiEvent | 'bad' | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'));
  } catch {
    return 'bad';
  }
  if (!isObject(value) || text(value, 'kind') !== 'Event' || !text(value, 'apiVersion').startsWith('audit.k8s.io/'))
    return 'bad';
  const stage = text(value, 'stage');
  if (stage !== 'ResponseComplete' && stage !== 'Panic') return undefined;
  const event = eventOf(value);
  // Compared with anything, such a time is neither before nor after.
  return Number.isNaN(event.receivedMs) || Number.isNaN(event.doneMs) ? 'bad' : event;
}

function eventOf(value: JsonObject): ApiEvent {
  const ref = object(value, 'objectRef');
  const subresource = text(ref, 'subresource');
  const verb = text(value, 'verb');
  const annotations = Object.entries(object(value, 'annotations')).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  const code = number(object(value, 'responseStatus'), 'code');
  const failedOpen = annotations.flatMap(([key, name]) => (failedOpenKey.test(key) && ours.test(name) ? [name] : []));
  const refusing = code === 500 ? failedCall.exec(text(object(value, 'responseStatus'), 'message'))?.[1] : undefined;
  const user = text(object(value, 'impersonatedUser'), 'username') || text(object(value, 'user'), 'username');
  return {
    auditId: text(value, 'auditID'),
    level: text(value, 'level'),
    verb: verb === 'patch' ? 'update' : verb,
    isPatch: verb === 'patch',
    user,
    group: text(ref, 'apiGroup'),
    resource: `${text(ref, 'resource')}${subresource === '' ? '' : `/${subresource}`}`,
    namespace: text(ref, 'namespace'),
    name: text(ref, 'name'),
    code,
    receivedMs: Date.parse(text(value, 'requestReceivedTimestamp')),
    doneMs: Date.parse(text(value, 'stageTimestamp')),
    time: text(value, 'requestReceivedTimestamp'),
    calls: annotations.flatMap(([key, hash]) => callOf(key, hash)),
    failedOpen,
    unanswered: [...failedOpen, ...(refusing === undefined ? [] : [refusing])].flatMap(
      (name) => ours.exec(name)?.[1] ?? [],
    ),
    // An update is tried again after a conflict; a mutating webhook is called again after another one's patch.
    mayCallAgain: verb === 'patch' || verb === 'update' || annotations.some(([key]) => reinvokedKey.test(key)),
    body: field(value, 'requestObject'),
  };
}

function callOf(key: string, hash: string): readonly ApiCall[] {
  if (!key.endsWith(hashKey)) return [];
  const webhook = key.slice(0, -hashKey.length);
  const phase = ours.exec(webhook)?.[1];
  return phase === undefined ? [] : [{ webhook, phase, hash }];
}
