/*
 * What a full decision costs, audit record to a real file included, against a bare node:https server that parses the same body: in
 * one run, in alternating rounds, as ratios. Times are this machine's; only the ratios travel.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startProcess } from '../scripts/server-process.ts';
import { median, spread } from './figures.ts';
import { load, type Sample, type Target } from './load.ts';
import { manyNodes, type Scenario, scenarios } from './reviews.ts';
import { makeScratch } from './scratch.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    requests: { type: 'string', default: '2000' },
    'warm-up': { type: 'string', default: '30000' },
    connections: { type: 'string', default: '1,8,32' },
    nodes: { type: 'string', default: '10,5000' },
  },
});
const rounds = Number(values.rounds);
const warmUp = Number(values['warm-up']);
const requests = Number(values.requests);
const numbers = (text: string): readonly number[] => text.split(',').map(Number);

const root = join(import.meta.dirname, '..');
const { directory, cert, key, caPem, put, remove } = makeScratch(tmpdir());

console.log(`Node ${process.version}; ${rounds} alternating rounds of ${requests} requests; median (least to most).`);
console.log(
  'CPU: user and system time of the server per request, in us. Ratios: webhook to bare server, round by round.\n',
);
console.log('| nodes | review | connections | CPU bare | CPU webhook | CPU ratio | p50 ratio | p99 ratio |');
console.log('| ---: | --- | ---: | ---: | ---: | --- | --- | --- |');
try {
  for (const count of numbers(values.nodes)) await benchCluster(count);
} finally {
  remove();
}

async function benchCluster(count: number): Promise<void> {
  const nodes = put('nodes.json', JSON.stringify({ apiVersion: 'v1', kind: 'NodeList', items: manyNodes(count) }));
  const bare = await startProcess(process.execPath, [join(root, 'bench', 'bare-server.ts'), cert, key]);
  const audit = ['--audit-log', join(directory, 'audit.log')];
  const listen = ['--host', '127.0.0.1', '--port', '0', '--health-port', '0', '--shutdown-delay', '0s'];
  const webhook = await startProcess(process.execPath, [
    join(root, 'src', 'main.ts'),
    'serve',
    '--tls-cert-file',
    cert,
    '--tls-private-key-file',
    key,
    '--nodes',
    nodes,
    ...listen,
    ...audit,
  ]);
  try {
    for (const scenario of scenarios) {
      // V8 goes on compiling for some 30,000 requests: what is counted is a server that has been up for a while.
      for (const { pid, port } of [bare, webhook]) await load({ pid, port, ca: caPem }, scenario, 8, warmUp);
      for (const connections of numbers(values.connections))
        await benchOne(count, scenario, connections, { ...bare, ca: caPem }, { ...webhook, ca: caPem });
    }
  } finally {
    await Promise.all([bare.stop(), webhook.stop()]);
  }
}

async function benchOne(
  count: number,
  scenario: Scenario,
  connections: number,
  bare: Target,
  webhook: Target,
): Promise<void> {
  const pairs: { bare: Sample; webhook: Sample }[] = [];
  for (let round = 0; round < rounds; round++) {
    // Who goes first alternates, so that a machine that slows down favours nobody.
    const first = round % 2 === 0 ? bare : webhook;
    const a = await load(first, scenario, connections, requests);
    const b = await load(first === bare ? webhook : bare, scenario, connections, requests);
    pairs.push(first === bare ? { bare: a, webhook: b } : { bare: b, webhook: a });
  }
  const ratio = (pick: (sample: Sample) => number): string =>
    spread(
      pairs.map((pair) => pick(pair.webhook) / pick(pair.bare)),
      2,
    );
  const cells = [
    String(count),
    scenario.name,
    String(connections),
    median(pairs.map((pair) => pair.bare.cpuUs)).toFixed(0),
    median(pairs.map((pair) => pair.webhook.cpuUs)).toFixed(0),
    ratio(({ cpuUs }) => cpuUs),
    ratio(({ p50Us }) => p50Us),
    ratio(({ p99Us }) => p99Us),
  ];
  console.log(`| ${cells.join(' | ')} |`);
}
