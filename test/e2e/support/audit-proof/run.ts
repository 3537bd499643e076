import { join } from 'node:path';
import type { ControlPlane } from '../../../cluster/control-plane.ts';
import type { BalancedInstallation } from '../../../cluster/installation.ts';
import type { Replica } from '../../../cluster/replica.ts';
import { eventually } from '../../../cluster/wait.ts';
import { podOf, podsOf } from '../ways.ts';
import { type Copies, callsOf, copyTo, eventsOf, filesOf, linesOf } from './logs.ts';
import { type Sent, sendMixed } from './requests.ts';

/** How a pair of replicas keeps its logs. */
export interface Variant {
  readonly name: string;
  readonly flags: readonly string[];
  /** Whether a record may be lost whose answer went out. */
  readonly mayLose: boolean;
}

/** When a replica was killed, and when it served again; milliseconds of the Unix epoch. */
export interface Kill {
  readonly atMs: number;
  readonly backMs: number;
}

/** What a run leaves to be looked at. */
export interface ProofRun extends Copies {
  /** The replica that was killed, and the other. */
  readonly killed: string;
  readonly other: string;
  readonly sent: readonly Sent[];
  /** The time that is compared; until `quiet` nothing was killed. */
  readonly since: string;
  readonly quiet: string;
  readonly kills: readonly Kill[];
}

const clients = 16;
/** A kill at a moment of silence, just after an answer, loses its record nearly every time where one can be lost. */
const mostKills = 8;
const strictKills = 3;

/** What the controllers still do when the clients have stopped. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1_000));
const isoNow = (): string => new Date().toISOString();

/**
 * Two replicas share so many requests. One is killed in the middle of them and goes on in its file; when the other has ended in order, it is
 * killed again, each time just after an answer.
 */
export async function runProof(
  plane: ControlPlane,
  installation: BalancedInstallation,
  { name, flags, mayLose }: Variant,
  requests: number,
): Promise<ProofRun> {
  const { balancer } = installation;
  const [killed, other] = [`${name}-1`, `${name}-2`];
  const [first, second] = [installation.addReplica(killed, flags), installation.addReplica(other, flags)];
  await Promise.all([first.startServer(), second.startServer()]);
  await installation.serve([first, second]);
  await settle();
  const since = isoNow();
  const kills: Kill[] = [];
  const kill = async (): Promise<void> => {
    await balancer.nextAnswer(first.port());
    const atMs = Date.now();
    await first.killServer();
    await first.startServer();
    kills.push({ atMs, backMs: Date.now() });
  };
  const half = Math.floor(requests / 2);
  const calm = await sendMixed(plane, { count: half, width: clients, prefix: `${name}-calm` });
  await settle();
  const quiet = isoNow();
  const stormy = await sendMixed(plane, {
    ...{ count: requests - half, width: clients, prefix: `${name}-stormy` },
    halfway: kill,
  });
  await second.stopServer();
  for (let i = 0; i < (mayLose ? mostKills : strictKills); i++) {
    await dryRuns(plane, first, kill);
    if (mayLose && (await hasLost(plane, [killed, other]))) break;
  }
  await settle();
  const [theirs = ''] = copyTo(join(plane.folder, `copy-${name}`), [join(plane.folder, 'api-audit.log')]);
  await first.stopServer();
  const sent = [...calm, ...stormy];
  return {
    ...{ killed, other, sent, since, quiet, kills },
    ...{ ours: copyTo(join(plane.folder, `copy-${name}`), filesOf(plane.folder, [killed, other])), theirs },
  };
}

/** One request at a time, until `disturb` has done its work. */
async function dryRuns(plane: ControlPlane, replica: Replica, disturb: () => Promise<void>): Promise<void> {
  let number = 0;
  const send = async (): Promise<boolean> => {
    const pod = podOf(`last-words-${replica.port()}-${number++}`);
    return (await plane.api.send('POST', `${podsOf()}?dryRun=All`, pod)).code === 201;
  };
  await eventually('the replica answers', send);
  let done = false;
  const disturbed = disturb().then(() => {
    done = true;
  });
  await eventually('the replica is back', async () => {
    await send();
    return done;
  });
  await disturbed;
  await eventually(`port ${replica.port()} answers`, send);
}

/** Whether the API server knows a hash that none of these replicas' files has, once all that is on its way has arrived. */
async function hasLost({ folder }: ControlPlane, replicas: readonly string[]): Promise<boolean> {
  await settle();
  const ours = new Set(filesOf(folder, replicas).flatMap((file) => linesOf(file).map(({ hash }) => hash)));
  return eventsOf(join(folder, 'api-audit.log')).some((event) => callsOf(event).some(({ hash }) => !ours.has(hash)));
}
