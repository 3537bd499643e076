import { type Random, several } from './random-cluster.ts';

/*
 * Random pods, nodes and quantities as text can hold them, legal or not: keys that no label can have, integers at the ends of 64 bits,
 * operators that do not exist, lists that are empty, absent or too long. Only what decides about placement is in them.
 */

const keys = ['node-type', 'rack', 'a.b/c', 'A/b', '-x', '', 'x'.repeat(64), '__proto__', 'constructor', 'ключ'];
const values = [
  'operator',
  'gpu',
  'r1',
  '',
  '5',
  '+5',
  '05',
  '-5',
  '5.0',
  ' 5',
  '9223372036854775807',
  '9223372036854775808',
];
const oddValues = [
  '-9223372036854775808',
  '-0',
  '1_000',
  '0x5',
  'a b',
  '-a',
  'y'.repeat(63),
  'y'.repeat(64),
  'ё',
  '__proto__',
];
const operators = ['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt'];
const oddOperators = ['', 'in', 'Bogus', 'Equals'];
const effects = ['NoSchedule', 'NoExecute', 'PreferNoSchedule', '', 'Bogus'];
const names = ['node-1', 'node-2', ''];

export interface Pair {
  readonly pod: object;
  readonly node: object;
}

export function randomPair(random: Random): Pair {
  return {
    pod: {
      metadata: { name: 'p' },
      spec: {
        ...(random.chance(0.4) && { nodeSelector: pairs(random, 2) }),
        ...(random.chance(0.8) && { affinity: randomAffinity(random) }),
        tolerations: several(random, 3, () => randomToleration(random)),
      },
    },
    node: {
      metadata: { name: 'node-1', labels: pairs(random, 5) },
      spec: { taints: several(random, 3, () => randomTaint(random)) },
    },
  };
}

const key = (random: Random): string => (random.chance(0.75) ? random.pick(keys.slice(0, 2)) : random.pick(keys));
const value = (random: Random): string => (random.chance(0.85) ? random.pick(values) : random.pick(oddValues));

/** Own properties, `__proto__` too, as JSON.parse makes them. */
function pairs(random: Random, most: number): object {
  return Object.fromEntries(several(random, most, () => [key(random), value(random)]));
}

function randomAffinity(random: Random): object {
  if (random.chance(0.03)) return random.pick<object>([{}, { podAffinity: {} }, { nodeAffinity: {} }]);
  const nodeSelectorTerms = several(random, 3, () => randomTerm(random));
  return { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } };
}

function randomTerm(random: Random): object {
  const fields = random.chance(0.3) && { matchFields: several(random, 2, () => randomField(random)) };
  return { matchExpressions: several(random, 2, () => randomExpression(random)), ...fields };
}

function randomExpression(random: Random): object {
  const operator = random.pick(random.chance(0.95) ? operators : oddOperators);
  const count = random.chance(0.8) ? usualCount(operator, random) : random.below(4);
  const listed = Array.from({ length: count }, () => value(random));
  return { key: key(random), operator, ...((listed.length > 0 || random.chance(0.5)) && { values: listed }) };
}

function usualCount(operator: string, random: Random): number {
  if (operator === 'In' || operator === 'NotIn') return 1 + random.below(3);
  return operator === 'Gt' || operator === 'Lt' ? 1 : 0;
}

function randomField(random: Random): object {
  return {
    key: random.chance(0.85) ? 'metadata.name' : random.pick(['metadata.uid', 'spec.unschedulable', '']),
    operator: random.pick(random.chance(0.9) ? ['In', 'NotIn'] : operators),
    values: random.chance(0.9) ? [random.pick(names)] : several(random, 2, () => random.pick(names)),
  };
}

function randomToleration(random: Random): object {
  const operator = random.pick(['Equal', 'Equal', 'Exists', 'Lt', 'Gt', 'Bogus', '']);
  return {
    ...(random.chance(0.7) && { key: key(random) }),
    ...(random.chance(0.8) && { operator }),
    ...(random.chance(0.7) && { value: value(random) }),
    ...(random.chance(0.4) && { effect: random.pick(effects) }),
    ...(random.chance(0.1) && { tolerationSeconds: random.below(300) - 10 }),
  };
}

function randomTaint(random: Random): object {
  return {
    key: key(random),
    ...(random.chance(0.7) && { value: value(random) }),
    effect: random.pick(effects),
  };
}

const suffixes = [
  '',
  'n',
  'u',
  'm',
  'k',
  'M',
  'G',
  'T',
  'P',
  'E',
  'Ki',
  'Mi',
  'Gi',
  'Ti',
  'Pi',
  'Ei',
  'K',
  'ki',
  'B',
  'e',
  'E+',
];

/** Most are quantities; the others nearly so. Exponents stay where Kubernetes' own code is quick. */
export function randomQuantity(random: Random): string {
  const digits = (most: number): string =>
    Array.from({ length: random.below(most + 1) }, () => random.below(10)).join('');
  const sign = random.chance(0.2) ? random.pick(['+', '-', '--', ' ']) : '';
  const integer = digits(random.chance(0.1) ? 40 : 4);
  const fraction = random.chance(0.4) ? `.${digits(random.chance(0.1) ? 80 : 4)}` : '';
  const exponent = random.chance(0.25) ? `${random.pick(['e', 'E'])}${random.pick(['', '+', '-'])}${digits(2)}` : '';
  const suffix = exponent === '' ? random.pick(suffixes) : random.chance(0.05) ? random.pick(suffixes) : '';
  const text = `${sign}${integer}${fraction}${exponent}${suffix}`;
  return random.chance(0.03) ? `${text}${random.pick([' ', '.', 'x', '\n', '1'])}` : text;
}
