import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { run } from './cli/run.ts';

/** The composition root: the one place that touches the process. */
const manifest: { version: string } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8'));

process.exitCode = await run(
  process.argv.slice(2),
  {
    stdout: (chunk) => void process.stdout.write(chunk),
    stderr: (chunk) => void process.stderr.write(chunk),
    readStdin: () => text(process.stdin),
    env: process.env,
    now: Date.now,
  },
  {
    version: async (_args, io) => {
      io.stdout(`osmo-admission ${manifest.version} (node ${process.version})\n`);
      return 0;
    },
  },
);
