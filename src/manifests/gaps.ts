import { isDeepStrictEqual } from 'node:util';
import type { LiveConfiguration, LiveInstallation } from '../policy/model/live-configuration.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import { field, isObject, type JsonObject } from '../policy/model/read.ts';
import type { BoundRule } from '../policy/rule.ts';
import { type KubeObject, productName } from './objects.ts';
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
}

/**
 * Compares what a policy needs with what is there. Only what decides which requests are judged counts, and what happens while the webhook
 * is away: a longer timeout is no gap. What could not be read is one, since nobody knows.
 */
export function findGaps({ rules, policy, namespace, live }: GapInput): readonly Gap[] {
  const expected = buildWebhookConfigurations(rules, policy, namespace);
  return [
    ...[...live.configurations].flatMap(([kind, configuration]) =>
      compareConfiguration(
        `${kind}/${productName}`,
        expected.find((object) => object.kind === kind),
        configuration,
      ),
    ),
    ...labelledGaps(live.labelled),
  ];
}

/**
 * Namespaces that the policy leaves to the labels, or to nobody on purpose: those that are not asked whether pods there bear the workflow
 * labels. An exemption of a namespace alone, from every rule, is such a purpose.
 */
export function settledNamespaces(
  { workflowNamespaces, exemptions }: CompiledPolicy,
  nowMs: number,
): readonly string[] {
  const exempt = exemptions
    .filter(({ endsAtMs }) => endsAtMs === undefined || nowMs < endsAtMs)
    .filter(
      ({ exemption: { reason: _reason, until: _until, namespaces: _names, ...rest } }) =>
        Object.keys(rest).length === 0,
    )
    .flatMap(({ exemption }) => exemption.namespaces ?? []);
  return [...new Set([...workflowNamespaces, ...exempt])].sort();
}

function labelledGaps(labelled: LiveInstallation['labelled']): readonly Gap[] {
  if (!(labelled instanceof Map)) {
    const why = 'why' in labelled ? labelled.why : '';
    return [
      {
        where: 'pods',
        message: `cannot be listed, so that nobody knows whether some bear the workflow labels elsewhere: ${why}`,
      },
    ];
  }
  return [...labelled].map(([name, pods]) => ({
    where: `Namespace/${name}`,
    message: `holds ${pods} ${pods === 1 ? 'pod' : 'pods'} with the workflow labels and is none of workflowPods.namespaces: a pod without the labels is not judged there, and one with them is admitted while the webhook is away; list it, or exempt it`,
  }));
}

function compareConfiguration(where: string, wanted: KubeObject | undefined, live: LiveConfiguration): readonly Gap[] {
  switch (live.state) {
    case 'unknown':
      return [{ where, message: `cannot be read, so that nobody knows which requests are judged: ${live.why}` }];
    case 'absent':
      return wanted === undefined ? [] : [{ where, message: `is not there: none of its requests is judged; ${again}` }];
    case 'found':
      return compareWebhooks(where, webhooksOf(wanted), webhooksOf(live.object));
  }
}

function compareWebhooks(
  where: string,
  wanted: ReadonlyMap<string, JsonObject>,
  live: ReadonlyMap<string, JsonObject>,
): readonly Gap[] {
  const gaps: Gap[] = [];
  for (const [name, webhook] of wanted) {
    const at = `${where} webhooks[${name}]`;
    const found = live.get(name);
    if (found === undefined) gaps.push({ where: at, message: `is not there: its requests are not judged; ${again}` });
    else gaps.push(...compareWebhook(at, webhook, found));
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

/** Fields as the API server fills them in where a manifest leaves them out (its defaults of admissionregistration.k8s.io/v1). */
const defaults: Readonly<Record<string, unknown>> = {
  failurePolicy: 'Fail',
  matchPolicy: 'Equivalent',
  matchConditions: [],
  namespaceSelector: {},
  objectSelector: {},
  reinvocationPolicy: 'Never',
  rules: [],
};

function compareWebhook(where: string, wanted: JsonObject, live: JsonObject): readonly Gap[] {
  const gaps = compareClient(`${where}.clientConfig`, field(wanted, 'clientConfig'), field(live, 'clientConfig'));
  return [
    ...gaps,
    ...Object.keys(defaults).flatMap((key) => {
      const need = field(wanted, key) ?? defaults[key];
      const has = field(live, key) ?? defaults[key];
      if (isDeepStrictEqual(ordered(need), ordered(has))) return [];
      return [{ where: `${where}.${key}`, message: `${differenceOf(key, need, has)}; ${again}` }];
    }),
  ];
}

function compareClient(where: string, wanted: unknown, live: unknown): readonly Gap[] {
  const gaps: Gap[] = [];
  if (!isDeepStrictEqual(ordered(serviceOf(wanted)), ordered(serviceOf(live)))) {
    gaps.push({
      where: `${where}.service`,
      message: `is ${JSON.stringify(serviceOf(live))}, not ${JSON.stringify(serviceOf(wanted))}: another server is asked; ${again}`,
    });
  }
  const bundle = isObject(live) ? field(live, 'caBundle') : undefined;
  if (bundle === undefined || bundle === '') {
    gaps.push({
      where: `${where}.caBundle`,
      message:
        'is empty: the API server trusts no certificate of the webhook, and every call fails; see whether cert-manager’s cainjector runs and the Certificate is Ready',
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

function differenceOf(key: string, need: unknown, has: unknown): string {
  if (key === 'namespaceSelector') {
    const lists = [valuesOf(need), valuesOf(has)];
    const [wanted, live] = lists;
    if (wanted !== undefined && live !== undefined && wanted.operator === live.operator) {
      return namespacesText(wanted, live);
    }
  }
  if (key === 'failurePolicy') {
    return has === 'Ignore'
      ? 'is Ignore, not Fail: these requests are admitted unjudged while the webhook is away'
      : 'is Fail, not Ignore: these requests are refused while the webhook is away';
  }
  return `is ${JSON.stringify(has)}, not ${JSON.stringify(need)}`;
}

interface NameList {
  readonly operator: unknown;
  readonly values: readonly unknown[];
}

/** The one expression that our selectors of namespaces have. */
function valuesOf(selector: unknown): NameList | undefined {
  const expressions = isObject(selector) ? field(selector, 'matchExpressions') : undefined;
  if (!Array.isArray(expressions) || expressions.length !== 1 || !isObject(expressions[0])) return undefined;
  const values = field(expressions[0], 'values');
  return Array.isArray(values) ? { operator: field(expressions[0], 'operator'), values } : undefined;
}

function namespacesText(wanted: NameList, live: NameList): string {
  const missing = wanted.values.filter((name) => !live.values.includes(name));
  const extra = live.values.filter((name) => !wanted.values.includes(name));
  const [unjudged, judgedFor] = wanted.operator === 'In' ? [missing, extra] : [extra, missing];
  const parts = [
    ...(unjudged.length > 0 ? [`leaves out namespace ${unjudged.join(', ')}: pods there are not judged by it`] : []),
    ...(judgedFor.length > 0 ? [`holds namespace ${judgedFor.join(', ')}, which the policy does not`] : []),
  ];
  return parts.length > 0 ? parts.join(', and ') : 'has another key than the policy’s';
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
