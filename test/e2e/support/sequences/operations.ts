import fc from 'fast-check';

/*
 * What a sequence is made of. Nodes are named `node:0` to `node:4` (see `nodePool`) until the run gives them names of its own; `node:9` is
 * nobody's. The first alternative of each choice is the plainest: shrinking goes there.
 */

/** Who makes a request, by right. */
export type Who = 'author' | 'binder' | 'node-admin' | 'exempt' | 'kubelet';

export const workflowNamespace = 'osmo-workflows';
export type Namespace = typeof workflowNamespace | 'default' | 'osmo-test';

export interface Toleration {
  readonly key?: string;
  readonly operator?: string;
  readonly value?: string;
  readonly effect?: string;
}

export interface Requirement {
  readonly key: string;
  readonly operator: string;
  readonly values?: readonly string[];
}

export interface Term {
  readonly matchExpressions?: readonly Requirement[];
  readonly matchFields?: readonly Requirement[];
}

/** Which of the two workflow labels a pod bears. */
export type Labelled = 'both' | 'one' | 'none';

/** A pod in few words. */
export interface PodWords {
  readonly namespace: Namespace;
  readonly labelled: Labelled;
  readonly platform?: string;
  readonly gpu: boolean;
  /** To `nobody`'s pods only a Binding of the sequence brings a node. */
  readonly scheduler: 'default-scheduler' | 'kai-scheduler' | 'nobody';
  readonly gates: number;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly terms?: readonly Term[];
  readonly tolerations: readonly Toleration[];
  readonly nodeName?: string;
  /** With a nodeName: as a mirror pod bears it. */
  readonly mirror: boolean;
  readonly exempted?: string;
}

/** Several at once are one request. */
export interface Change {
  readonly note?: string;
  readonly labelled?: Labelled;
  readonly tolerate?: Toleration;
  readonly ungate?: 'one' | 'all';
  readonly select?: readonly [key: string, value: string];
  /** Into every required term, or as the only one. */
  readonly require?: Requirement;
  /** Null takes the annotation away. */
  readonly exempted?: string | null;
}

export type How = 'merge' | 'json' | 'apply' | 'put';

/** `pod` counts the pods that the sequence has made so far, modulo their number; `node` is one of the pool. */
export type Operation =
  /** Waits until the scheduler has judged every pod. */
  | { readonly do: 'settle' }
  | { readonly do: 'create'; readonly as: Who; readonly how: 'post' | 'apply'; readonly words: PodWords }
  | { readonly do: 'change'; readonly as: Who; readonly pod: number; readonly how: How; readonly change: Change }
  /** By the kubelet of the pod's node, or of the first one. */
  | { readonly do: 'status'; readonly pod: number; readonly change: Pick<Change, 'note' | 'exempted' | 'labelled'> }
  | {
      readonly do: 'bind';
      readonly as: Who;
      readonly pod: number;
      readonly node: string;
      readonly by: 'pods/binding' | 'bindings';
      readonly labels?: Readonly<Record<string, string>>;
      readonly annotations?: Readonly<Record<string, string>>;
    }
  | { readonly do: 'delete'; readonly pod: number }
  | {
      readonly do: 'relabel';
      readonly as: Who;
      readonly node: string;
      readonly type: string | null;
      readonly by: 'nodes' | 'nodes/status';
    }
  | { readonly do: 'taint'; readonly as: Who; readonly node: string; readonly taints: readonly object[] }
  | { readonly do: 'delete-node'; readonly node: string }
  /** One that is deleted comes back; any other exists. */
  | { readonly do: 'create-node'; readonly as: Who; readonly node: string; readonly type: string | null };

/** What the nodes of a run are when it begins. */
export const nodePool = [
  { type: 'compute', taints: [] },
  { type: 'gpu', taints: [] },
  { type: 'operator', taints: [] },
  { type: null, taints: [{ key: 'ops', effect: 'NoSchedule' }] },
  { type: 'compute', taints: [] },
] as const;

const some = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
/** Nearly always the first. */
const mostly = <T>(usual: fc.Arbitrary<T>, rare: fc.Arbitrary<T>, weight = 5): fc.Arbitrary<T> =>
  fc.oneof({ withCrossShrink: true }, { weight, arbitrary: usual }, { weight: 1, arbitrary: rare });

const pod = fc.nat(2);
const node = some(...nodePool.map((_, index) => `node:${index}`));
const type = some<string | null>('compute', 'operator', 'gpu', null);

const toleration = mostly(
  some<Toleration>(
    { key: 'nvidia.com/gpu', operator: 'Exists', effect: 'NoSchedule' },
    { key: 'node-type', value: 'gpu', effect: 'NoSchedule' },
    { key: 'example.com/other', operator: 'Exists' },
    { key: 'ops', operator: 'Exists', effect: 'PreferNoSchedule' },
  ),
  some<Toleration>(
    { key: 'ops', operator: 'Exists' },
    { key: 'ops', value: 'true', effect: 'NoSchedule' },
    { key: 'ops' },
    { operator: 'Exists' },
    { operator: 'Exists', effect: 'NoExecute' },
    { key: 'node-type', operator: 'Equal', value: 'operator', effect: 'NoSchedule' },
    { key: 'node-type', operator: 'Exists' },
  ),
  3,
);

const requirement: fc.Arbitrary<Requirement> = fc.oneof(
  some<Requirement>(
    { key: 'rack', operator: 'In', values: ['r1'] },
    { key: 'rack', operator: 'NotIn', values: ['r1', 'r2'] },
    { key: 'node-type', operator: 'NotIn', values: ['operator'] },
    { key: 'node-type', operator: 'NotIn', values: ['gpu'] },
    { key: 'node-type', operator: 'NotIn', values: ['gpu', 'operator'] },
    { key: 'node-type', operator: 'In', values: ['compute', 'operator'] },
    { key: 'node-type', operator: 'In', values: ['operator'] },
    { key: 'node-type', operator: 'In', values: ['compute'] },
    { key: 'node-type', operator: 'Exists' },
    { key: 'node-type', operator: 'DoesNotExist' },
  ),
  node.map((name): Requirement => ({ key: 'kubernetes.io/hostname', operator: 'In', values: [name] })),
);

const field = fc
  .tuple(some('In', 'NotIn'), node)
  .map(([operator, name]): Requirement => ({ key: 'metadata.name', operator, values: [name] }));

const term: fc.Arbitrary<Term> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ matchExpressions: fc.array(requirement, { minLength: 1, maxLength: 2 }) }) },
  { weight: 1, arbitrary: fc.record({ matchFields: fc.tuple(field) }) },
  { weight: 1, arbitrary: fc.record({ matchExpressions: fc.tuple(requirement), matchFields: fc.tuple(field) }) },
  { weight: 1, arbitrary: fc.constant({}) },
);

const pair = fc.oneof(
  node.map((name) => ['kubernetes.io/hostname', name] as const),
  some(['rack', 'r1'] as const, ['rack', 'r2'] as const),
  some('compute', 'gpu', 'operator').map((value) => ['node-type', value] as const),
);

const maybe = <T>(value: fc.Arbitrary<T>, weight: number): fc.Arbitrary<T | undefined> =>
  mostly(fc.constant(undefined), value, weight);

const exempted = some('all', 'operator-node-guard', 'placement', '');

const words: fc.Arbitrary<PodWords> = fc
  .record({
    namespace: some<Namespace>(
      workflowNamespace,
      workflowNamespace,
      workflowNamespace,
      'default',
      'default',
      'osmo-test',
    ),
    labelled: some<Labelled>('both', 'none', 'one'),
    platform: maybe(some('cpu-x86', 'agx-orin-1'), 6),
    gpu: mostly(fc.constant(false), fc.constant(true)),
    scheduler: some<PodWords['scheduler']>('kai-scheduler', 'default-scheduler', 'nobody'),
    gates: some(0, 0, 1, 2),
    nodeSelector: maybe(
      pair.map(([key, value]) => ({ [key]: value })),
      2,
    ),
    terms: maybe(fc.array(term, { minLength: 1, maxLength: 2 }), 2),
    tolerations: mostly(
      fc.constant<readonly Toleration[]>([]),
      fc.array(toleration, { minLength: 1, maxLength: 2 }),
      1,
    ),
    nodeName: maybe(mostly(node, fc.constant('node:9')), 7),
    mirror: mostly(fc.constant(false), fc.constant(true), 3),
    exempted: maybe(exempted, 7),
  })
  .map(({ gates, nodeName, mirror, ...rest }) =>
    // The API server refuses gates with a node, and a mirror pod without one.
    nodeName === undefined ? { ...rest, gates, mirror: false } : { ...rest, gates: 0, nodeName, mirror },
  )
  .map((all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as never);

const change: fc.Arbitrary<Change> = fc
  .array(
    fc.oneof(
      some<Change>({ note: 'a' }),
      { weight: 2, arbitrary: some<Labelled>('both', 'none', 'one').map((labelled): Change => ({ labelled })) },
      { weight: 2, arbitrary: toleration.map((tolerate): Change => ({ tolerate })) },
      // Made as something else, a pod is first judged when its gate goes.
      {
        weight: 5,
        arbitrary: some<Change>(
          { ungate: 'all' },
          { ungate: 'one' },
          { labelled: 'both', ungate: 'all' },
          { labelled: 'both', ungate: 'all' },
        ),
      },
      { weight: 2, arbitrary: pair.map((select): Change => ({ select })) },
      { weight: 2, arbitrary: requirement.map((require): Change => ({ require })) },
      { weight: 1, arbitrary: fc.oneof(exempted, fc.constant(null)).map((value): Change => ({ exempted: value })) },
    ),
    { minLength: 1, maxLength: 2 },
  )
  .map((changes) => Object.assign({}, ...changes));

const author = mostly(fc.constant<Who>('author'), some<Who>('exempt', 'exempt', 'binder'), 4);
const admin = mostly(fc.constant<Who>('node-admin'), some<Who>('kubelet', 'kubelet', 'author'), 4);

const create: fc.Arbitrary<Operation> = fc.record({
  do: fc.constant('create' as const),
  as: author,
  how: mostly(fc.constant('post' as const), fc.constant('apply' as const)),
  words,
});

const operation: fc.Arbitrary<Operation> = fc.oneof(
  { withCrossShrink: true },
  { weight: 2, arbitrary: fc.constant<Operation>({ do: 'settle' }) },
  { weight: 5, arbitrary: create },
  {
    weight: 9,
    arbitrary: fc.record({
      do: fc.constant('change' as const),
      as: author,
      pod,
      how: some<How>('merge', 'json', 'apply', 'put'),
      change,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('status' as const),
      pod,
      change: fc.oneof(fc.constant({ note: 'b' }), fc.constant({ labelled: 'both' as const }), {
        weight: 3,
        arbitrary: fc.oneof(exempted, fc.constant(null)).map((value) => ({ exempted: value })),
      }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc
      .record({
        do: fc.constant('bind' as const),
        as: mostly(fc.constant<Who>('binder'), some<Who>('exempt', 'author'), 4),
        pod,
        node: mostly(node, fc.constant('node:9'), 8),
        by: some('pods/binding' as const, 'bindings' as const),
        labels: maybe(
          some<Record<string, string>>(
            { 'osmo.workflow_uuid': 'x', 'osmo.task_uuid': 'y' },
            { 'topology.kubernetes.io/zone': 'z' },
          ),
          2,
        ),
        annotations: maybe(
          some<Record<string, string>>({ 'osmo-admission/exempted': 'all' }, { 'example.com/note': 'c' }),
          2,
        ),
      })
      .map(({ labels, annotations, ...rest }) => ({
        ...rest,
        ...(labels !== undefined && { labels }),
        ...(annotations !== undefined && { annotations }),
      })),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), pod }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('relabel' as const),
      as: admin,
      node,
      type,
      by: mostly(fc.constant('nodes' as const), fc.constant('nodes/status' as const), 3),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('taint' as const),
      as: admin,
      node,
      taints: some<readonly object[]>(
        [],
        [{ key: 'ops', effect: 'NoSchedule' }],
        [{ key: 'ops', value: 'true', effect: 'NoExecute' }],
        [{ key: 'ops', effect: 'PreferNoSchedule' }],
        [{ key: 'node-type', value: 'operator', effect: 'NoSchedule' }],
        [{ key: 'node-type', value: 'gpu', effect: 'NoSchedule' }],
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete-node' as const), node }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('create-node' as const), as: admin, node, type }) },
);

/** Six to fifteen operations, the first of which makes a pod. Shrinking turns what is not needed into `settle`. */
export const sequences: fc.Arbitrary<readonly Operation[]> = fc
  .tuple(create, fc.array(operation, { minLength: 5, maxLength: 14, size: 'max' }))
  .map(([first, rest]) => [first, ...rest]);
