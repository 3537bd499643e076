import type { TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ApiAnswer } from '../cluster/api-client.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { type Installation, install, startCluster, webhookName } from '../cluster/installation.ts';
import { eventually } from '../cluster/wait.ts';
import { beginReview, call } from '../server/support.ts';
import type { KubeObject } from '../support/fixtures.ts';
import { kubeletOf } from './support/nodes.ts';
import { kubeletPolicy } from './support/policy.ts';
import {
  author,
  contentTypes,
  harmless,
  podOf,
  podsOf,
  prepareWays,
  toOps,
  unscheduled,
  workflowLabels,
} from './support/ways.ts';

/*
 * Somebody keeps the server busy, so that what others send is not judged in time: where failurePolicy is Ignore it would be admitted then.
 * One server, as it ships, beside the API server on the same machine.
 */

let plane: ControlPlane;
let webhook: Installation;
let ca: string;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'), ['ops-1']);
  webhook = await install(plane, { policy: kubeletPolicy() });
  await prepareWays(plane);
  const jsonpath = 'jsonpath={.webhooks[0].clientConfig.caBundle}';
  const { stdout } = await plane.apply(['get', 'validatingwebhookconfiguration', webhookName, '-o', jsonpath]);
  ca = Buffer.from(stdout, 'base64').toString();
}, 120_000);
afterAll(() => plane?.close(), 60_000);

/** A pod with the workflow labels outside workflow namespaces: its webhooks are Ignore, and wait 3 s. */
const elsewhere = (name: string, spec: object): KubeObject =>
  podOf(name, spec, { namespace: 'default', labels: workflowLabels });

const create = (object: KubeObject): Promise<ApiAnswer> =>
  plane.api.send('POST', `${podsOf('default')}?dryRun=All`, object, { as: author });

const idsOf = ({ code, body }: ApiAnswer): string =>
  `${code} ${[...String(body.message).matchAll(/\(([a-z-]+\/[a-z-]+)\)/g)].map(([, id]) => id).join(' ')}`;

describe('pods of many node selector terms', { timeout: 120_000 }, () => {
  const terms = (count: number): object => ({
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: Array.from({ length: count }, () => ({
            matchExpressions: [{ key: 'a', operator: 'Exists' }],
          })),
        },
      },
    },
  });

  it('are all denied, sixteen at once of 33,000 each, and so is what is sent meanwhile', async () => {
    const many = Array.from({ length: 16 }, (_, index) => create(elsewhere(`many-${index}`, terms(33_000))));
    const other = create(elsewhere('other', { tolerations: [toOps] }));
    expect((await Promise.all(many)).map(idsOf)).toEqual(
      Array.from({ length: 16 }, () => '403 operator-node-guard/selects placement/too-many-terms'),
    );
    expect(idsOf(await other)).toBe('403 operator-node-guard/tolerates');
  });

  it('are placed up to a thousand', async () => {
    const { code, body } = await create(elsewhere('thousand', terms(1_000)));
    expect(code).toBe(201);
    const { nodeSelectorTerms } = body.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution;
    expect(nodeSelectorTerms).toHaveLength(1_000);
    expect(new Set(nodeSelectorTerms.map((term: object) => JSON.stringify(term))).size).toBe(1);
    expect(JSON.stringify(nodeSelectorTerms[0])).toContain('"operator":"NotIn"');
  });
});

describe('bodies that somebody else sends to the port', { timeout: 120_000 }, () => {
  const sockets: TLSSocket[] = [];
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
  });

  /** Begins bodies and never ends them. */
  async function begin(count: number, length: number, sent: number): Promise<void> {
    const host = new URL(webhook.health()).hostname;
    for (let index = 0; index < count; index++) {
      // Pods have addresses of their own.
      sockets.push(await beginReview({ host, port: 443, ca, localAddress: '127.0.0.77', length, sent }));
    }
  }

  const large = (name: string): KubeObject =>
    elsewhere(name, {
      tolerations: [toOps, harmless],
      containers: [{ name: 'c', image: 'i', args: ['<'.repeat(1_000_000)] }],
    });

  it('keep no large pod from being judged, though many of them are begun and none ended', async () => {
    await begin(40, 2_000_000, 1);
    expect(idsOf(await create(large('waits')))).toBe('403 operator-node-guard/tolerates');
  });

  it('are refused where they hold more than any object', async () => {
    const { status, body } = await call({
      host: new URL(webhook.health()).hostname,
      port: 443,
      ca,
      body: `[${'[],'.repeat(11_000_000)}0]`,
    });
    expect(`${status} ${body}`).toMatch(/^400 .*the document: holds more than 524288 values/);
    expect(idsOf(await create(large('after')))).toBe('403 operator-node-guard/tolerates');
  });
});

/*
 * An object's author chooses its size. What is more than is parsed is denied, since failurePolicy would admit it where that is Ignore.
 */
describe('an object that is stored, and whose review is more than is parsed', { timeout: 60_000 }, () => {
  const nothing = Array.from({ length: 600_000 }, () => '');

  it('is denied where it is a pod: with a command of empty words', async () => {
    const containers = [{ name: 'c', image: 'i', lifecycle: { preStop: { exec: { command: ['true', ...nothing] } } } }];
    expect(idsOf(await create(elsewhere('words', { containers, tolerations: [toOps] })))).toMatch(
      /^403 .*\/too-large$/,
    );
    await eventually('the record', () =>
      webhook
        .records()
        .some(
          ({ decision, objectRef, user }) =>
            decision === 'deny' && objectRef.name === 'words' && user.username === author.user,
        ),
    );
  });

  it('is denied where it is a Binding', async () => {
    const name = 'bound';
    await plane.api.send('POST', podsOf('default'), elsewhere(name, unscheduled));
    const binding = {
      ...{ apiVersion: 'v1', kind: 'Binding', metadata: { name, namespace: 'default', finalizers: nothing } },
      target: { apiVersion: 'v1', kind: 'Node', name: 'ops-1' },
    };
    const said = await plane.api.send('POST', `${podsOf('default')}/${name}/binding`, binding);
    expect(idsOf(said)).toMatch(/^403 .*\/too-large$/);
  });

  it('is denied where it is a change of a node whose status its kubelet filled before', async () => {
    const as = kubeletOf('compute-a');
    const patch = (path: string, change: object): Promise<ApiAnswer> =>
      plane.api.send('PATCH', path, change, { as, ...contentTypes.merge });
    const status = { images: [{ names: nothing.slice(0, 300_000) }] };
    expect((await patch('/api/v1/nodes/compute-a/status', { status })).code).toBe(200);
    const moved = await patch('/api/v1/nodes/compute-a', { metadata: { labels: { 'node-type': 'operator' } } });
    expect(idsOf(moved)).toMatch(/^403 .*\/too-large$/);
    expect((await patch('/api/v1/nodes/compute-a/status', { status: { images: null } })).code).toBe(200);
  });
});
