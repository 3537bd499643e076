import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCli } from '../support/cli.ts';
import { reportLogEndMs } from '../support/report-log.ts';

/** A folder of reports, made as the command makes them. */
export interface Reports {
  /** Where a file of the folder is. */
  path(name: string): string;
  /** @returns the page's file. @throws Error with what the command said. */
  make(name: string, log: string, ...args: readonly string[]): Promise<string>;
  remove(): void;
}

export function makeReports(): Reports {
  const directory = mkdtempSync(join(tmpdir(), 'reports-'));
  const path = (name: string): string => join(directory, name);
  return {
    path,
    async make(name, log, ...args) {
      writeFileSync(path(`${name}.log`), log);
      const command = ['log', 'report', path(`${name}.log`), '--output-file', path(`${name}.html`), ...args];
      const { code, stderr } = await runCli(command, { nowMs: reportLogEndMs });
      if (code !== 0) throw new Error(`exit ${code}: ${stderr}`);
      return path(`${name}.html`);
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
