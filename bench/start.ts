/*
 * How long the image takes from the start of its process until /readyz says that it is ready, with nodes from a file: in its own root file
 * system, as the test of the image runs it. What a container runtime needs before that is not in the figure; what unshare, mount and
 * chroot need is.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, readdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { buildRootfs, ownArch } from '../scripts/image/rootfs.ts';
import { startProcess } from '../scripts/server-process.ts';
import { freePorts } from '../test/cluster/processes.ts';
import { contained } from '../test/support/contained.ts';
import { spread } from './figures.ts';
import { cpuUs } from './load.ts';
import { manyNodes } from './reviews.ts';
import { makeScratch } from './scratch.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '11' }, nodes: { type: 'string', default: '10' } },
});
const project = join(import.meta.dirname, '..');
const { directory, cert, key, put, remove } = makeScratch(tmpdir());
const rootfs = join(directory, 'rootfs');

function bytesOf(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

async function untilReady(port: number): Promise<void> {
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
    if (answer?.status === 200) return;
    await wait(2);
  }
}

try {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: project });
  buildRootfs({ project, out: rootfs, arch: ownArch(), system: '/' });
  const size = bytesOf(rootfs);
  const nodes = put(
    'nodes.json',
    JSON.stringify({ apiVersion: 'v1', kind: 'NodeList', items: manyNodes(Number(values.nodes)) }),
  );
  // The server's user is not us.
  chmodSync(directory, 0o755);
  const [program = '', ...before] = contained({
    rootfs,
    mounts: [{ from: directory, to: directory, readOnly: true }],
  });
  const times: number[] = [];
  // What a machine that is busy with other work does not change so much.
  const work: number[] = [];
  // The first start reads the program from the disk; it is not counted.
  for (let round = -1; round < Number(values.rounds); round++) {
    const [healthPort = 0] = await freePorts(1);
    const started = performance.now();
    const starting = startProcess(program, [
      ...[...before, 'serve', '--tls-cert-file', cert, '--tls-private-key-file', key, '--nodes', nodes],
      ...['--host', '127.0.0.1', '--port', '0', '--health-port', String(healthPort), '--shutdown-delay', '0s'],
    ]);
    const [server] = await Promise.all([starting, untilReady(healthPort)]);
    if (round >= 0) {
      times.push(performance.now() - started);
      work.push(cpuUs(server.pid) / 1000);
    }
    await server.stop();
  }
  console.log(`root file system: ${(size / 1e6).toFixed(0)} MB`);
  console.log(`start until ready: ${spread(times, 0)} ms, of CPU ${spread(work, 0)} ms`);
  console.log(`(${values.nodes} nodes; ${values.rounds} starts, median (least to most))`);
} finally {
  remove();
}
