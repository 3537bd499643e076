import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parse, stringify } from 'yaml';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { type BalancedInstallation, installBalanced, startCluster } from '../cluster/installation.ts';
import type { Replica } from '../cluster/replica.ts';
import { eventually } from '../cluster/wait.ts';
import { kubeletPolicy } from './support/policy.ts';
import { author, nodeOfPod, podOf, podsOf, prepareWays, toOps, type User, verdict } from './support/ways.ts';

/* Two replicas while a renewed certificate, with a new private key, has reached one of them only. */

const debugging: User = { user: 'debugging', groups: ['system:authenticated'] };
const policy = stringify({
  ...parse(kubeletPolicy()),
  exemptions: [
    { reason: 'cluster components', namespaces: ['kube-system'] },
    { reason: 'debugging operator nodes', users: [debugging.user] },
  ],
});
const onOps = { nodeSelector: { 'node-type': 'operator' }, tolerations: [toOps] };

let plane: ControlPlane;
let installation: BalancedInstallation;
let behind: Replica;
let ahead: Replica;

beforeAll(async () => {
  plane = await startCluster(inject('binaries'));
  await prepareWays(plane, [debugging.user]);
  installation = await installBalanced(plane, { policy });
  behind = installation.addReplica('behind', []);
  ahead = installation.addReplica('ahead', installation.ownCertificate());
  await Promise.all([behind.startServer(), ahead.startServer()]);
  await installation.serve([behind, ahead]);
  await installation.renewOwnCertificate();
  await reloaded(ahead);
}, 120_000);

afterAll(async () => {
  await installation?.close();
  await plane?.close();
}, 60_000);

const reloaded = (replica: Replica): Promise<void> =>
  eventually('the replica has the new certificate', () =>
    replica.log().some(({ message }) => message === 'certificate reloaded'),
  );

/** Pods that one replica mutated and the other validated. */
function crossed(by: Replica, then: Replica): readonly string[] {
  const namesOf = (replica: Replica, phase: string): readonly string[] =>
    replica
      .records()
      .filter((record) => record.phase === phase && record.objectRef.resource === 'pods')
      .filter(({ verb, objectRef }) => verb === 'create' && objectRef.subresource === '')
      .map(({ objectRef }) => objectRef.name);
  const validated = new Set(namesOf(then, 'validate'));
  return namesOf(by, 'mutate').filter((name) => name.startsWith('debug-') && validated.has(name));
}

describe('while two replicas hold different keys', () => {
  const names: string[] = [];

  it('pods of an exempt user are admitted, whichever of them mutates and validates', async () => {
    const said = new Set<string>();
    await eventually('each mutated some that the other validated', async () => {
      const batch = Array.from({ length: 10 }, (_, index) => `debug-${names.length + index}`);
      names.push(...batch);
      for (const answer of await Promise.all(
        batch.map((name) => plane.api.send('POST', podsOf(), podOf(name, onOps), { as: debugging })),
      ))
        said.add(verdict(answer));
      return crossed(behind, ahead).length > 0 && crossed(ahead, behind).length > 0;
    });
    expect([...said]).toEqual(['admitted']);
  });

  it('nobody else’s pod is, whatever note it bears', async () => {
    const { body } = await plane.api.send('GET', `${podsOf()}/${names[0]}`);
    const { annotations } = body.metadata;
    expect(JSON.stringify(annotations)).toContain('osmo-admission/exempted');
    const { code } = await plane.api.send('POST', podsOf(), podOf('copied', onOps, { annotations }), { as: author });
    expect(code).toBe(403);
  });

  it('their pods are bound, at the latest when both have the new one', async () => {
    installation.shareCertificate();
    await reloaded(behind);
    for (const name of names) expect(`${name} ${await nodeOfPod(plane, name)}`).toBe(`${name} ops-1`);
  });
});
