import { exemptedAnnotation } from '../../policy/exempted.ts';
import { verifiedAnnotation } from '../../policy/model/node.ts';
import { field, isObject, type JsonObject } from '../../policy/model/read.ts';
import type { ApiEvent } from './api-event.ts';
import { object, objects, text } from './entry.ts';

/** Which requests a policy has judged: the webhooks that are made for it. */
export interface Scope {
  /** Of the ValidatingWebhookConfiguration. */
  readonly webhooks: readonly JsonObject[];
  /** Keys that make a pod a workflow pod outside the workflow namespaces. */
  readonly workflowLabels: readonly string[];
}

/** `unknown`: the event does not show enough. */
export type InScope = 'in' | 'out' | 'unknown';

/** Whether a request that went through was one for our validating webhooks. */
export function inScope(event: ApiEvent, { webhooks, workflowLabels }: Scope): InScope {
  const answers = webhooks
    .filter((webhook) => matchesRules(event, webhook) && matchesNamespace(event, webhook))
    .map((webhook) => shownBy(event, webhook, workflowLabels));
  return answers.includes('in') ? 'in' : answers.includes('unknown') ? 'unknown' : 'out';
}

function matchesRules({ group, resource, verb }: ApiEvent, webhook: JsonObject): boolean {
  return objects(webhook, 'rules').some(
    (rule) =>
      has(rule, 'apiGroups', group) && has(rule, 'resources', resource) && has(rule, 'operations', verb.toUpperCase()),
  );
}

/** Our selectors name namespaces by their own label only. Objects without a namespace are not selected by it. */
function matchesNamespace({ namespace }: ApiEvent, webhook: JsonObject): boolean {
  if (namespace === '') return true;
  return objects(object(webhook, 'namespaceSelector'), 'matchExpressions').every(
    (expression) => has(expression, 'values', namespace) === (text(expression, 'operator') === 'In'),
  );
}

function shownBy(event: ApiEvent, webhook: JsonObject, workflowLabels: readonly string[]): InScope {
  const isCreation = event.verb === 'create';
  if (!isCreation) return mayChange(event, workflowLabels) ? 'unknown' : 'out';
  const keys = objects(object(webhook, 'objectSelector'), 'matchExpressions').map((expression) =>
    text(expression, 'key'),
  );
  const isTemplate = objects(webhook, 'matchConditions').some(
    (condition) => text(condition, 'name') === 'makes-workflow-pods',
  );
  if (keys.length === 0 && !isTemplate) return 'in';
  if (!isObject(event.body)) return 'unknown';
  const bodies = isTemplate ? templatesOf(event.body) : [event.body];
  const wanted = isTemplate ? workflowLabels : keys;
  return bodies.some((body) => bearsAll(body, wanted)) ? 'in' : 'out';
}

/** Where a workload keeps the template of its pods. */
function templatesOf(body: JsonObject): readonly JsonObject[] {
  const spec = object(body, 'spec');
  return [
    object(spec, 'template'),
    object(object(object(spec, 'jobTemplate'), 'spec'), 'template'),
    object(body, 'template'),
  ];
}

function bearsAll(body: JsonObject, keys: readonly string[]): boolean {
  const labels = object(object(body, 'metadata'), 'labels');
  return keys.every((key) => Object.hasOwn(labels, key));
}

/** What of an object our rules read when it is updated. */
function judgedOf(resource: string, workflowLabels: readonly string[]): readonly (readonly string[])[] {
  const base = resource.split('/')[0];
  if (base === 'nodes')
    return [
      ['metadata', 'labels'],
      ['metadata', 'annotations', verifiedAnnotation],
      ['spec', 'taints'],
    ];
  if (base !== 'pods') return [['spec', 'template'], ['spec', 'jobTemplate'], ['template']];
  return [
    ...workflowLabels.map((key) => ['metadata', 'labels', key]),
    ['metadata', 'annotations', exemptedAnnotation],
    ...['tolerations', 'nodeSelector', 'affinity', 'nodeName', 'schedulingGates'].map((name) => ['spec', name]),
  ];
}

/** False only for a patch that touches none of that. An update sends the whole object, and does not say what was there before. */
function mayChange({ isPatch, body, resource }: ApiEvent, workflowLabels: readonly string[]): boolean {
  if (!isPatch || body === undefined) return true;
  const judged = judgedOf(resource, workflowLabels);
  if (!Array.isArray(body)) return !isObject(body) || judged.some((path) => reaches(body, path));
  return body.some((operation) => isObject(operation) && touches(text(operation, 'path'), judged));
}

/** A path of a JSON Patch that holds what is judged, or is held by it. */
function touches(pointer: string, judged: readonly (readonly string[])[]): boolean {
  const segments = pointer
    .split('/')
    .slice(1)
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
  return judged.some((path) => path.every((name, index) => segments[index] === undefined || segments[index] === name));
}

function reaches(body: JsonObject, path: readonly string[]): boolean {
  let at: unknown = body;
  for (const name of path) {
    if (!isObject(at) || !Object.hasOwn(at, name)) return false;
    at = at[name];
  }
  return true;
}

function has(value: JsonObject, key: string, wanted: string): boolean {
  const list = field(value, key);
  return Array.isArray(list) && list.includes(wanted);
}
