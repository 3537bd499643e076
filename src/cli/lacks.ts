import { formatPath } from '../config/source.ts';
import { lacksOf } from '../policy/lacks.ts';
import type { CompiledPolicy } from '../policy/model/policy.ts';
import { rules } from '../policy/rules/index.ts';
import type { CliIo } from './io.ts';

/** Says what a good policy leaves open on standard error, a line each. */
export function printLacks(policy: CompiledPolicy, io: CliIo): void {
  for (const { path, message } of lacksOf(policy, rules, io.now())) {
    io.stderr(`note: ${formatPath(path)} ${message}\n`);
  }
}
