/*
 * What the audit log costs: the same server with each way to keep it, in one run, in alternating rounds, as ratios to the one that forces
 * nothing to the disk and signs nothing. Then, in this process, what the chain adds to one line.
 */
import { generateKeyPairSync } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startProcess } from '../scripts/server-process.ts';
import { type ChainState, link, linkCheckpoint } from '../src/audit/chain.ts';
import { noHash } from '../src/audit/line.ts';
import { parseSigningKey } from '../src/audit/signing.ts';
import { record } from '../test/support/record.ts';
import { median, spread } from './figures.ts';
import { load, type Sample, type Target } from './load.ts';
import { manyNodes, scenarios } from './reviews.ts';
import { makeScratch } from './scratch.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    requests: { type: 'string', default: '2000' },
    'warm-up': { type: 'string', default: '10000' },
    connections: { type: 'string', default: '8' },
    // Where the files go: an fsync costs what the disk under it costs.
    directory: { type: 'string', default: tmpdir() },
  },
});
const [rounds, requests, warmUp, connections] = [
  values.rounds,
  values.requests,
  values['warm-up'],
  values.connections,
].map(Number) as [number, number, number, number];

/** The first is what the others are compared with. */
const ways: readonly (readonly [string, readonly string[]])[] = [
  ['none', ['--audit-fsync', 'none']],
  ['none, checkpoints', ['--audit-fsync', 'none', '--audit-signing-key', 'KEY']],
  ['interval', ['--audit-fsync', 'interval']],
  ['none, deny', ['--audit-fsync', 'none', '--audit-on-error', 'deny']],
  ['always', ['--audit-fsync', 'always']],
];

const { directory, cert, key, caPem, put, remove } = makeScratch(values.directory);
const tls = ['--tls-cert-file', cert, '--tls-private-key-file', key];
const nodes = put('nodes.json', JSON.stringify({ apiVersion: 'v1', kind: 'NodeList', items: manyNodes(10) }));

interface Contender {
  readonly name: string;
  readonly target: Target;
  readonly samples: Sample[];
  stop(): Promise<void>;
}

async function startContender([name, flags]: readonly [string, readonly string[]], index: number): Promise<Contender> {
  const { pid, port, stop } = await startProcess(process.execPath, [
    ...[join(import.meta.dirname, '..', 'src', 'main.ts'), 'serve', ...tls, '--nodes', nodes],
    ...['--host', '127.0.0.1', '--port', '0', '--health-port', '0', '--shutdown-delay', '0s'],
    ...['--audit-log', join(directory, `audit-${index}.log`)],
    ...flags.map((flag) => (flag === 'KEY' ? join(directory, 'key.pem') : flag)),
  ]);
  return { name, target: { pid, port, ca: caPem }, samples: [], stop };
}

const scenario = scenarios[0];
if (scenario === undefined) throw new Error('there is no review to send');
const contenders: Contender[] = [];
try {
  for (const [index, way] of ways.entries()) contenders.push(await startContender(way, index));
  for (const { target } of contenders) await load(target, scenario, connections, warmUp);
  for (let round = 0; round < rounds; round++) {
    // Who goes first changes, so that a machine that slows down favours nobody.
    const order = [...contenders.slice(round % contenders.length), ...contenders.slice(0, round % contenders.length)];
    for (const { target, samples } of order) samples.push(await load(target, scenario, connections, requests));
  }
} finally {
  await Promise.all(contenders.map(({ stop }) => stop()));
  remove();
}

const [base, ...others] = contenders;
if (base === undefined) throw new Error('nothing was measured');
console.log(
  `Node ${process.version}; ${scenario.name}, ${connections} connections; ${rounds} alternating rounds of ${requests} requests; median (least to most), ratios to fsync none.\n`,
);
console.log('| fsync | CPU us | p50 us | p99 us | CPU ratio | p50 ratio | p99 ratio |');
console.log('| --- | ---: | ---: | ---: | --- | --- | --- |');
for (const { name, samples } of [base, ...others]) {
  const figures = (pick: (sample: Sample) => number): readonly [string, string] => [
    median(samples.map(pick)).toFixed(0),
    spread(
      samples.map((sample, round) => pick(sample) / pick(base.samples[round] ?? sample)),
      2,
    ),
  ];
  const [cpu, p50, p99] = [figures(({ cpuUs }) => cpuUs), figures(({ p50Us }) => p50Us), figures(({ p99Us }) => p99Us)];
  const ratios = samples === base.samples ? ['1', '1', '1'] : [cpu[1], p50[1], p99[1]];
  console.log(`| ${[name, cpu[0], p50[0], p99[0], ...ratios].join(' | ')} |`);
}

const one = record({});
const { privateKey } = generateKeyPairSync('ed25519');
const signingKey = parseSigningKey(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 'key');
let state: ChainState = { cluster: '', replica: 'r', boot: '0'.repeat(32), sequence: 0, previous: noHash };
/** CPU time of one call in microseconds, warm. */
function cost(calls: number, act: () => void): number {
  for (let i = 0; i < calls; i++) act();
  const before = process.cpuUsage();
  for (let i = 0; i < calls; i++) act();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / calls;
}
const plain = cost(100_000, () => void JSON.stringify(one));
const chained = cost(100_000, () => {
  state = link(state, one).next;
});
const signed = cost(2_000, () => void linkCheckpoint(state, signingKey, one.time));
console.log(
  `\nOne line in a loop: JSON.stringify ${plain.toFixed(1)} us; with header, canonical form, hash and link ${chained.toFixed(1)} us; a checkpoint ${signed.toFixed(0)} us.`,
);
