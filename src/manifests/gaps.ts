import { isDeepStrictEqual } from 'node:util';
import type { LiveConfiguration, LiveInstallation } from '../policy/model/live-configuration.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import { field, isObject, type JsonObject } from '../policy/model/read.ts';
import type { BoundRule } from '../policy/rule.ts';
import { bundleProblem } from './ca-bundle.ts';
import { differenceOf, shown } from './gap-text.ts';
import { certificatesLeaseName, type KubeObject, productName } from './objects.ts';
import { buildWebhookConfigurations } from './webhooks.ts';

/** One difference between the webhook configurations that a policy needs and those that the API server goes by. */
export interface Gap {
  /** `ValidatingWebhookConfiguration/osmo-admission-webhook webhooks[pods.validate.osmo-admission].failurePolicy`. */
  readonly where: string;
  /** What it is, what it means, what to do. */
  readonly message: string;
}

const again = 'apply `osmo-admission manifests` of this policy again';

export interface GapInput {
  readonly rules: readonly BoundRule[];
  readonly policy: CompiledPolicy;
  /** Where the webhook is installed. */
  readonly namespace: string;
  readonly live: LiveInstallation;
  /** PEM of the certificate chain that the server serves; undefined where nobody knows it. */
  readonly served?: string | undefined;
}

/**
 * Compares what a policy needs with what is there. Only what decides which requests are judged counts, and what happens while the webhook
 * is away: a longer timeout is no gap. What could not be read is one, since nobody knows.
 */
export function findGaps({ rules, policy, namespace, live, served }: GapInput): readonly Gap[] {
  const expected = buildWebhookConfigurations(rules, policy, namespace);
  return [
    ...[...live.configurations].flatMap(([kind, configuration]) =>
      compareConfiguration(
        `${kind}/${productName}`,
        expected.find((object) => object.kind === kind),
        configuration,
        served,
      ),
    ),
    ...labelledGaps(live.labelled),
  ];
}

function labelledGaps(labelled: LiveInstallation['labelled']): readonly Gap[] {
  if (labelled.state === 'unknown') {
    return [
      {
        where: 'pods',
        message: `cannot be listed, so that nobody knows whether some bear the workflow labels elsewhere: ${labelled.why}`,
      },
    ];
  }
  return labelled.namespaces.map((name) => ({
    where: `Namespace/${name}`,
    message:
      'holds pods with the workflow labels and is none of workflowPods.namespaces: a pod without the labels is not judged there, and one with them is admitted while the webhook is away; list it, or exempt it',
  }));
}

function compareConfiguration(
  where: string,
  wanted: KubeObject | undefined,
  live: LiveConfiguration,
  served: string | undefined,
): readonly Gap[] {
  switch (live.state) {
    case 'unknown':
      return [{ where, message: `cannot be read, so that nobody knows which requests are judged: ${live.why}` }];
    case 'absent':
      return wanted === undefined ? [] : [{ where, message: `is not there: none of its requests is judged; ${again}` }];
    case 'found':
      return compareWebhooks(where, webhooksOf(wanted), webhooksOf(live.object), served);
  }
}

function compareWebhooks(
  where: string,
  wanted: ReadonlyMap<string, JsonObject>,
  live: ReadonlyMap<string, JsonObject>,
  served: string | undefined,
): readonly Gap[] {
  const gaps: Gap[] = [];
  for (const [name, webhook] of wanted) {
    const at = `${where} webhooks[${name}]`;
    const found = live.get(name);
    if (found === undefined) gaps.push({ where: at, message: `is not there: its requests are not judged; ${again}` });
    else gaps.push(...compareWebhook(at, webhook, found, served));
  }
  for (const name of live.keys()) {
    if (!wanted.has(name)) {
      gaps.push({
        where: `${where} webhooks[${name}]`,
        message: `is more than the policy needs: its requests are sent for nothing, or twice; ${again}`,
      });
    }
  }
  return gaps;
}

/** `kubectl apply` merges the list of conditions by name, and leaves in it what others have added. */
function remedyOf(key: string, need: unknown, has: unknown): string {
  if (key !== 'matchConditions' || !Array.isArray(need) || !Array.isArray(has)) return again;
  const wanted = need.map(nameOf);
  const isAdded = has.some((condition) => !wanted.includes(nameOf(condition)));
  return isAdded ? 'take out what is too much with `kubectl edit`, which apply does not' : again;
}

/** Fields as the API server fills them in where a manifest leaves them out (its defaults of admissionregistration.k8s.io/v1). */
const defaults: Readonly<Record<string, unknown>> = {
  admissionReviewVersions: [],
  failurePolicy: 'Fail',
  matchPolicy: 'Equivalent',
  matchConditions: [],
  namespaceSelector: {},
  objectSelector: {},
  reinvocationPolicy: 'Never',
  rules: [],
};

function compareWebhook(
  where: string,
  wanted: JsonObject,
  live: JsonObject,
  served: string | undefined,
): readonly Gap[] {
  const gaps = compareClient(
    `${where}.clientConfig`,
    field(wanted, 'clientConfig'),
    field(live, 'clientConfig'),
    served,
  );
  return [
    ...gaps,
    ...Object.keys(defaults).flatMap((key) => {
      const need = field(wanted, key) ?? defaults[key];
      const has = field(live, key) ?? defaults[key];
      if (isDeepStrictEqual(ordered(need), ordered(has))) return [];
      return [{ where: `${where}.${key}`, message: `${differenceOf(key, need, has)}; ${remedyOf(key, need, has)}` }];
    }),
  ];
}

function compareClient(where: string, wanted: unknown, live: unknown, served: string | undefined): readonly Gap[] {
  const gaps: Gap[] = [];
  if (!isDeepStrictEqual(ordered(serviceOf(wanted)), ordered(serviceOf(live)))) {
    gaps.push({
      where: `${where}.service`,
      message: `is ${shown(serviceOf(live))}, not ${shown(serviceOf(wanted))}: another server is asked; ${again}`,
    });
  }
  const bundle = isObject(live) ? field(live, 'caBundle') : undefined;
  const problem = bundleProblem(typeof bundle === 'string' ? bundle : '', served);
  if (problem !== '') {
    gaps.push({
      where: `${where}.caBundle`,
      message: `${problem}, and every call fails; see whether cert-manager’s cainjector runs and the Certificate is Ready or, under --tls-self-signed, the log of the replica that holds the Lease ${certificatesLeaseName}`,
    });
  }
  return gaps;
}

/** The service that is called, without the port where it is the usual one; a `url` instead of a service shows as it is. */
function serviceOf(client: unknown): unknown {
  if (!isObject(client)) return client;
  const service = field(client, 'service');
  return isObject(service) ? { port: 443, ...service } : { url: field(client, 'url') };
}

function webhooksOf(configuration: KubeObject | undefined): ReadonlyMap<string, JsonObject> {
  const webhooks = configuration === undefined ? undefined : field(configuration, 'webhooks');
  return new Map(
    (Array.isArray(webhooks) ? webhooks : []).filter(isObject).map((webhook) => [nameOf(webhook), webhook]),
  );
}

function nameOf(value: unknown): string {
  const name = isObject(value) ? field(value, 'name') : undefined;
  return typeof name === 'string' ? name : '';
}

/** Every list that is compared means a set (namespaces, expressions, operations, rules, conditions): sorted, so that order is no difference. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item) => JSON.stringify(ordered(item)));
    return items.sort();
  }
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, ordered(value[key])]),
  );
}
