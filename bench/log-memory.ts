/*
 * What the commands that read the audit log take of memory and time: each as a process of its own, on logs of some sizes, with an event of the
 * API server for each record. Reads dist/ where it is built, as the package does.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { apiEventOf } from '../test/support/api-event.ts';
import { createLog } from '../test/support/audit-log.ts';
import { record } from '../test/support/record.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '100000,1000000' },
    directory: { type: 'string', default: tmpdir() },
  },
});
const sizes = values.records.split(',').map(Number);

const root = join(import.meta.dirname, '..');
const built = join(root, 'dist', 'main.js');
const main = existsSync(built) ? built : join(root, 'src', 'main.ts');
const directory = mkdtempSync(join(values.directory, 'log-memory-'));
const [log, api, figures] = ['audit.log', 'api.log', 'figures.json'].map((name) => join(directory, name)) as [
  string,
  string,
  string,
];
/** Told by the process itself as it ends. */
const tell = `data:text/javascript,${encodeURIComponent(
  `import { writeFileSync } from 'node:fs';
process.on('exit', () => writeFileSync(${JSON.stringify(figures)}, JSON.stringify(process.resourceUsage())));`,
)}`;
const commands: readonly (readonly string[])[] = [
  ['verify'],
  ['query', '--decision', 'deny', '-o', 'csv'],
  ['summary'],
  ['reconcile', '--api-audit', api],
];

/** Appends text in large pieces. */
function openText(path: string): { add(line: string): void; close(): void } {
  const descriptor = openSync(path, 'w');
  let text = '';
  const flush = (): void => {
    writeSync(descriptor, text);
    text = '';
  };
  return {
    add(line) {
      text += `${line}\n`;
      if (text.length > 1_000_000) flush();
    },
    close() {
      flush();
      closeSync(descriptor);
    },
  };
}

/** A log of so many decisions, one in ten a denial, and what the API server knows of them. */
function write(records: number): void {
  const [ours, theirs] = [openText(log), openText(api)];
  const writer = createLog({ keep: (line) => ours.add(line) });
  writer.start();
  const finding = { rule: 'placement', reason: 'conflict', enforcement: 'enforce', field: 'spec', message: 'm' };
  for (let i = 0; i < records; i++) {
    const { objectRef } = record({});
    const over = { objectRef: { ...objectRef, name: `pod-${i}`, namespace: `team-${i % 50}` } };
    const line = writer.decide(i % 10 === 0 ? { ...over, decision: 'deny', findings: [finding] } : over);
    theirs.add(JSON.stringify(apiEventOf(line)));
  }
  writer.stop();
  ours.close();
  theirs.close();
}

console.log(`Node ${process.version}, ${main.slice(root.length + 1)}\n`);
console.log('| Command | records | log | most memory | time |');
console.log('| --- | ---: | ---: | ---: | ---: |');
try {
  for (const records of sizes) {
    write(records);
    for (const command of commands) {
      const started = performance.now();
      const { status, stderr } = spawnSync(
        process.execPath,
        ['--import', tell, main, 'log', command[0] ?? '', log, ...command.slice(1)],
        { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' },
      );
      if (status !== 0) throw new Error(`log ${command.join(' ')} ended with ${status}: ${stderr}`);
      const seconds = (performance.now() - started) / 1000;
      const { maxRSS }: { maxRSS: number } = JSON.parse(readFileSync(figures, 'utf8'));
      const megabytes = Math.round(statSync(log).size / 1e6);
      console.log(
        `| ${command.slice(0, command[0] === 'reconcile' ? 1 : undefined).join(' ')} | ${records} | ${megabytes} MB | ${Math.round(maxRSS / 1024)} MiB | ${seconds.toFixed(1)} s |`,
      );
    }
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
