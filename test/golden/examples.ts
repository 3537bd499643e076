import type { Admission } from '../../src/admission/admit.ts';
import { readRequest } from '../../src/policy/model/read-request.ts';
import type { Phase } from '../../src/policy/model/request.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { apply } from '../support/json-patch.ts';
import { type Case, inputObject, readCaseFiles } from './case.ts';
import { reviewOf, worldOf } from './entries.ts';

/**
 * A whole message for every reason, as the product says it of the first golden case that finds it: what docs/messages.md shows. A reason that
 * is found only where mutation did not run is asked for like that.
 * @returns by `rule/reason`. @throws Error for a reason without a case.
 */
export async function exampleMessages(): Promise<ReadonlyMap<string, string>> {
  const examples = new Map<string, string>();
  const files = readCaseFiles();
  for (const { id, reasons } of rules) {
    const own = files.filter(({ rule }) => rule === id);
    for (const reason of Object.keys(reasons)) {
      const named = own.filter(({ topic }) => topic === reason).flatMap(({ cases }) => cases);
      const message =
        (await firstMessage(named, id, reason, true)) ??
        (await firstMessage(
          files.flatMap(({ cases }) => cases),
          id,
          reason,
          false,
        ));
      if (message === undefined) throw new Error(`no golden case finds ${id}/${reason}`);
      examples.set(`${id}/${reason}`, message);
    }
  }
  return examples;
}

async function firstMessage(
  cases: readonly Case[],
  rule: string,
  reason: string,
  isMutated: boolean,
): Promise<string | undefined> {
  for (const golden of cases) {
    const { admit } = worldOf(golden);
    const ask = async (phase: Phase, object: unknown): Promise<Admission> =>
      admit(phase, readRequest(reviewOf(golden, object).request), 1_000);
    const object = inputObject(golden);
    const mutated = isMutated ? await ask('mutate', object) : undefined;
    const validated = await ask('validate', mutated === undefined ? object : apply(object, mutated.patch));
    const findings = [...(mutated?.record.findings ?? []), ...validated.record.findings];
    const found = findings.find((finding) => finding.rule === rule && finding.reason === reason);
    if (found !== undefined) return `${found.message} (${rule}/${reason})`;
  }
  return undefined;
}
