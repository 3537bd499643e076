import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createPolicyParser } from '../../src/config/parse.ts';
import { type PolicyStore, type ReloadStatus, startPolicyStore } from '../../src/config/policy-store.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { eventually } from '../server/support.ts';

const text = (preset: string): string =>
  `apiVersion: osmo-admission/v1alpha1\nkind: AdmissionPolicy\npreset: ${preset}\n`;

let directory: string;
let file: string;
let store: PolicyStore | undefined;
let reloads: ReloadStatus[];
let logged: { message: string; fields: Readonly<Record<string, unknown>> | undefined }[];

const start = async (): Promise<PolicyStore> => {
  store = await startPolicyStore({
    file,
    parse: createPolicyParser({ rules }),
    pollMs: 10,
    log: (_level, message, fields) => void logged.push({ message, fields }),
    onReload: (status) => void reloads.push(status),
  });
  return store;
};

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'store-'));
  file = join(directory, 'policy.yaml');
  reloads = [];
  logged = [];
});
afterEach(() => {
  store?.close();
  rmSync(directory, { recursive: true, force: true });
});

describe('the policy store', () => {
  it('does not start with a bad file, or none', async () => {
    await expect(start()).rejects.toThrow(/ENOENT/);
    writeFileSync(file, text('enforced'));
    await expect(start()).rejects.toThrow(/policy\.yaml:3:9: preset is "enforced": did you mean enforce\?/);
  });

  it('takes a good file in force, with a new digest', async () => {
    writeFileSync(file, text('enforce'));
    const { current } = await start();
    const before = current().digest;
    writeFileSync(file, text('monitor'));
    await eventually('the reload', () => current().policy.preset === 'monitor');
    expect(current().digest).not.toBe(before);
    expect(reloads.map(({ outcome }) => outcome)).toEqual(['success', 'success']);
  });

  it('keeps the last good policy while the file is bad, says why, and recovers', async () => {
    writeFileSync(file, text('enforce'));
    const { current, status } = await start();
    const { digest } = current();
    writeFileSync(file, text('enforced'));
    await eventually('the refusal', () => status().outcome === 'failure');
    expect(status().error).toContain('policy.yaml:3:9');
    expect(current().digest).toBe(digest);
    expect(
      logged.some(
        ({ message, fields }) => message.includes('the last good policy stays in force') && fields?.digest === digest,
      ),
    ).toBe(true);
    writeFileSync(file, text('monitor'));
    await eventually('the recovery', () => status().outcome === 'success' && current().policy.preset === 'monitor');
  });

  it('recovers also when the file becomes what it was before', async () => {
    writeFileSync(file, text('enforce'));
    const { status } = await start();
    writeFileSync(file, 'nonsense: [');
    await eventually('the refusal', () => status().outcome === 'failure');
    writeFileSync(file, text('enforce'));
    await eventually('the recovery', () => status().outcome === 'success');
  });

  it('keeps the policy when the file is removed', async () => {
    writeFileSync(file, text('monitor'));
    const { current } = await start();
    rmSync(file);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(current().policy.preset).toBe('monitor');
  });
});
