import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Reason, reasons } from '../../src/policy/facts/reasons.ts';
import { rules } from '../../src/policy/rules/index.ts';
import { type Case, readCaseFiles, shownReasons, writeCaseFile } from './case.ts';
import { throughCli, throughCore, throughHttp } from './entries.ts';

if (process.env.UPDATE_GOLDEN === '1') {
  for (const file of readCaseFiles()) {
    const cases: Case[] = [];
    for (const golden of file.cases) {
      cases.push({ ...golden, expected: await throughCore(golden, shownReasons(file, golden)) });
    }
    writeCaseFile(file, cases);
  }
}

const files = readCaseFiles();

describe('golden cases', () => {
  let root = '';
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'golden-'));
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));
  const directory = {
    write(name: string, text: string): string {
      const path = join(root, name);
      writeFileSync(path, text);
      return path;
    },
  };

  for (const file of files) {
    describe(`${file.rule}/${file.topic}`, () => {
      for (const golden of file.cases) {
        const shown = shownReasons(file, golden);
        const { facts: _, ...answer } = golden.expected;
        it(`${golden.name}: core`, async () => {
          expect(await throughCore(golden, shown)).toEqual(golden.expected);
        });
        it(`${golden.name}: HTTP`, async () => {
          expect(await throughHttp(golden)).toEqual(answer);
        });
        it(`${golden.name}: CLI`, async () => {
          const { expected, exitCode } = await throughCli(golden, shown, directory);
          expect(expected).toEqual(golden.expected);
          expect(exitCode).toBe(golden.expected.allowed ? 0 : 1);
        });
      }
    });
  }
});

describe('the set of golden cases', () => {
  it('has at least 80 cases, each with a name of its own', () => {
    const names = files.flatMap(({ rule, topic, cases }) => cases.map(({ name }) => `${rule}/${topic}: ${name}`));
    expect(names.length).toBeGreaterThanOrEqual(80);
    expect(new Set(names).size).toBe(names.length);
  });

  it('has a case for every reason of every rule, in the file of that name, that finds it', () => {
    // Found only where mutation did not run; test/admission/{quarantine,bindings}.test.ts.
    const beyond = ['node-quarantine/moved', 'exemptions/binding-keys'];
    const missing: string[] = [];
    for (const { id, reasons } of rules) {
      for (const reason of Object.keys(reasons)) {
        const cases = files.find(({ rule, topic }) => rule === id && topic === reason)?.cases ?? [];
        const found = cases.some(({ expected }) =>
          expected.findings.some((line) => line.startsWith(`${id}/${reason} `)),
        );
        const notFound = cases.some(
          ({ expected }) => !expected.findings.some((line) => line.startsWith(`${id}/${reason} `)),
        );
        if ((!found || !notFound) && !beyond.includes(`${id}/${reason}`)) missing.push(`${id}/${reason}`);
      }
    }
    expect(missing).toEqual([]);
  });

  it('shows for every reason of node-conformance a node that meets, one that violates, and one that does not say', () => {
    // Taints are there or not: nothing about them is ever unknown.
    const alwaysKnown: readonly Reason[] = ['operator-untainted'];
    const missing = reasons.flatMap((reason) => {
      const cases = files.find(({ rule, topic }) => rule === 'node-conformance' && topic === reason)?.cases ?? [];
      const lines = cases.flatMap(({ expected }) => expected.facts ?? []);
      return (['meets', 'violates', 'unknown'] as const)
        .filter((verdict) => verdict !== 'unknown' || !alwaysKnown.includes(reason))
        .filter((verdict) => !lines.some((line) => `${line} `.startsWith(`${reason} ${verdict} `)))
        .map((verdict) => `${reason} ${verdict}`);
    });
    expect(missing).toEqual([]);
  });

  it('has no file for a rule or reason that does not exist', () => {
    const topics = [
      'admitted',
      'exempt',
      'preset',
      'injects',
      'later-change',
      'marks',
      'updates',
      'templates',
      'noted',
      'bindings',
    ];
    const extra = files.filter(({ rule, topic }) => {
      const known = rules.find(({ id }) => id === rule);
      return known === undefined || !(Object.keys(known.reasons).includes(topic) || topics.includes(topic));
    });
    expect(extra.map(({ rule, topic }) => `${rule}/${topic}`)).toEqual([]);
  });
});
