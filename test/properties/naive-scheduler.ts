import { naiveParses } from '../kube/naive.ts';

/*
 * A naive scheduler, written for the tests from the Kubernetes documentation ("Assigning Pods to Nodes", "Taints and
 * Tolerations", the API reference of NodeSelectorRequirement and Toleration), over raw objects. It shares nothing with the product.
 */

type Raw = Readonly<Record<string, unknown>>;

function raw(value: unknown): Raw {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

function list(value: unknown): readonly Raw[] {
  return Array.isArray(value) ? value.map(raw) : [];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Whether the pod may run on the node: through the scheduler, or by spec.nodeName, for which taints of effect NoSchedule do not count. */
export function canRunOn(pod: unknown, node: unknown): boolean {
  const spec = raw(raw(pod).spec);
  const name = text(raw(raw(node).metadata).name);
  const bound = text(spec.nodeName);
  if (bound !== '') return bound === name;
  return selects(spec, node) && toleratesAll(spec, node);
}

function selects(spec: Raw, node: unknown): boolean {
  const metadata = raw(raw(node).metadata);
  const nodeLabels = raw(metadata.labels);
  for (const [key, value] of Object.entries(raw(spec.nodeSelector))) {
    if (!Object.hasOwn(nodeLabels, key) || nodeLabels[key] !== value) return false;
  }
  const required = raw(raw(spec.affinity).nodeAffinity).requiredDuringSchedulingIgnoredDuringExecution;
  if (required === undefined || required === null) return true;
  return list(raw(required).nodeSelectorTerms).some((term) => {
    const expressions = list(term.matchExpressions);
    const fields = list(term.matchFields);
    if (expressions.length + fields.length === 0) return false;
    return (
      expressions.every((requirement) =>
        meets(
          requirement,
          Object.hasOwn(nodeLabels, text(requirement.key)) ? text(nodeLabels[text(requirement.key)]) : undefined,
        ),
      ) && fields.every((requirement) => fieldMeets(requirement, text(metadata.name)))
    );
  });
}

function meets({ key, operator, values }: Raw, value: string | undefined): boolean {
  const wanted: readonly string[] = Array.isArray(values) ? values.map(text) : [];
  if (!naiveParses({ key: text(key), operator: text(operator), values: wanted })) return false;
  switch (operator) {
    case 'In':
      return value !== undefined && wanted.includes(value);
    case 'NotIn':
      return value === undefined || !wanted.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
    case 'Lt': {
      if (value === undefined || wanted.length !== 1) return false;
      if (!/^[+-]?\d+$/.test(value) || !/^[+-]?\d+$/.test(String(wanted[0]))) return false;
      return operator === 'Gt' ? Number(value) > Number(wanted[0]) : Number(value) < Number(wanted[0]);
    }
    default:
      return false;
  }
}

function fieldMeets({ key, operator, values }: Raw, name: string): boolean {
  if (!Array.isArray(values) || values.length !== 1) return false;
  const actual = key === 'metadata.name' ? name : '';
  if (operator === 'In') return values[0] === actual;
  return operator === 'NotIn' && values[0] !== actual;
}

function toleratesAll(spec: Raw, node: unknown): boolean {
  const nodeSpec = raw(raw(node).spec);
  const taints = [...list(nodeSpec.taints)];
  if (nodeSpec.unschedulable === true) taints.push({ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' });
  return taints.every(
    (taint) =>
      taint.effect === 'PreferNoSchedule' ||
      list(spec.tolerations).some((toleration) => toleratesOne(toleration, taint)),
  );
}

function toleratesOne(toleration: Raw, taint: Raw): boolean {
  if (text(toleration.effect) !== '' && toleration.effect !== taint.effect) return false;
  if (text(toleration.key) !== '' && toleration.key !== taint.key) return false;
  switch (text(toleration.operator)) {
    case 'Exists':
      return true;
    case '':
    case 'Equal':
      return text(toleration.key) !== '' && text(toleration.value) === text(taint.value);
    case 'Lt':
    case 'Gt': {
      const [limit, value] = [text(toleration.value), text(taint.value)];
      if (!/^-?\d+$/.test(limit) || !/^-?\d+$/.test(value)) return false;
      return toleration.operator === 'Lt' ? Number(value) < Number(limit) : Number(value) > Number(limit);
    }
    default:
      return false;
  }
}

/** An operator node of the default policy: labelled so, or with one of its taints. */
export function isOperator(node: unknown): boolean {
  const nodeLabels = raw(raw(raw(node).metadata).labels);
  if (nodeLabels['node-type'] === 'operator') return true;
  return list(raw(raw(node).spec).taints).some(
    ({ key, value, effect }) =>
      effect !== 'PreferNoSchedule' && (key === 'ops' || (key === 'node-type' && value === 'operator')),
  );
}
