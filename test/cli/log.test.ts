import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hashOf, link } from '../../src/audit/chain.ts';
import type { AuditLine } from '../../src/audit/line.ts';
import { columns } from '../../src/audit/read/query.ts';
import { run } from '../../src/cli/run.ts';
import { createLog, type LogWriter, newSigningKey } from '../support/audit-log.ts';
import { runCli } from '../support/cli.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'log-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const put = (name: string, content: string | Buffer | readonly string[]): string => {
  const path = join(directory, name);
  writeFileSync(
    path,
    Array.isArray(content) ? content.map((line) => `${line}\n`).join('') : (content as string | Buffer),
  );
  return path;
};

const key = newSigningKey();
const denial = {
  decision: 'deny',
  findings: [{ rule: 'placement', reason: 'conflict', enforcement: 'enforce', field: 'spec', message: 'no' }],
} as const;

/** Two boots in order: 1 start, 2 to 5 decisions, 6 stop, 7 checkpoint; 8 start, 9 denial, 10 stop, 11 checkpoint. */
function twoBoots(options: Parameters<typeof createLog>[0] = { key }): LogWriter {
  const log = createLog(options);
  log.start();
  for (let i = 0; i < 4; i++) log.decide();
  log.stop();
  log.start();
  log.decide(denial);
  log.stop();
  return log;
}

describe('log verify', () => {
  it('finds the order of rotated and compressed files of several replicas by itself', async () => {
    const [one, other] = [twoBoots(), twoBoots({ key, replica: 'webhook-1' })];
    const files = [
      put('c.log', one.lines.slice(9)),
      put(
        'z.log.gz',
        gzipSync(
          one.lines
            .slice(0, 3)
            .map((line) => `${line}\n`)
            .join(''),
        ),
      ),
      put('a.log', other.lines),
      put('b.log', one.lines.slice(3, 9)),
    ];
    const { code, stdout } = await runCli(['log', 'verify', ...files]);
    expect(code).toBe(0);
    expect(stdout).toContain('replica webhook-0 of cluster lab: 11 lines in 3 files');
    expect(stdout).toContain('replica webhook-1 of cluster lab: 11 lines in 1 file');
    expect(stdout).toContain('good: 22 lines in 2 chains, no break; this proves integrity, not origin');
    expect(stdout.match(/no server: 2026-11-25T12:00:06.000Z to 2026-11-25T12:00:07.000Z/g)).toHaveLength(2);
  });

  it('says where the first break is: file, line, byte and sequence number', async () => {
    const { lines } = twoBoots();
    const first = put('first.log', lines.slice(0, 7));
    const changed = lines.slice(7).with(1, lines[8]?.replace('"deny"', '"allow"') ?? '');
    const second = put('second.log', changed);
    const { code, stdout } = await runCli(['log', 'verify', second, first]);
    expect(code).toBe(1);
    const offset = Buffer.byteLength(lines[7] ?? '') + 1;
    expect(stdout).toContain(
      `BREAK, changed: ${second} line 2 (byte ${offset.toLocaleString('en-US')}), sequence 2 of boot `,
    );
    expect(stdout).toContain('BROKEN: 1 of 1 chain');
  });

  it('finds that a whole rotated file is missing, of one boot or of several', async () => {
    const { lines } = twoBoots();
    const [one, , three] = [put('1.log', lines.slice(0, 3)), 0, put('3.log', lines.slice(5))];
    const within = await runCli(['log', 'verify', one, three]);
    expect(within.code).toBe(1);
    expect(within.stdout).toContain('lines 4 to 5 of this boot are not there, between');
    const log = twoBoots();
    log.start();
    log.stop();
    const across = await runCli([
      'log',
      'verify',
      put('1.log', log.lines.slice(0, 7)),
      put('3.log', log.lines.slice(11)),
    ]);
    expect(across.code).toBe(1);
    expect(across.stdout).toContain('BREAK, removed');
  });

  it('trusts no key but the one given', async () => {
    const file = put('a.log', twoBoots().lines);
    const trusted = put('key.pem', key.publicKey);
    const good = await runCli(['log', 'verify', file, '--public-key', trusted]);
    expect([good.code, good.stdout.includes('written by the holder of a trusted key')]).toEqual([0, true]);
    const other = await runCli(['log', 'verify', file, '--public-key', put('other.pem', newSigningKey().publicKey)]);
    expect([other.code, other.stdout.includes('BREAK, unknown key')]).toEqual([1, true]);
    const unsigned = await runCli(['log', 'verify', put('u.log', twoBoots({}).lines), '--public-key', trusted]);
    expect([unsigned.code, unsigned.stdout.includes('BREAK, unsigned')]).toEqual([1, true]);
  });

  it('finds a chain that was made anew after a change, by its signature', async () => {
    const forger = { ...newSigningKey(), publicKey: key.publicKey, keyId: key.keyId };
    const { code, stdout } = await runCli(['log', 'verify', put('a.log', twoBoots({ key: forger }).lines)]);
    expect([code, stdout.includes('BREAK, wrong signature')]).toEqual([1, true]);
  });

  it('takes a line with half of a surrogate pair for one that was changed, and reads on', async () => {
    const { lines } = twoBoots();
    const index = lines.findIndex((line) => line.includes('"Checkpoint"'));
    const file = put('a.log', lines.with(index, (lines[index] ?? '').replace('webhook-0', '\\ud800')));
    const { code, stdout } = await runCli(['log', 'verify', file]);
    expect([code, stdout.includes('BREAK, changed')]).toEqual([1, true]);
    const query = await runCli(['log', 'query', file, '--kind', 'Checkpoint', '-o', 'json']);
    expect([query.code, query.stdout.includes('"replica":"\\ud800"')]).toEqual([0, true]);
  });

  it('tells what no checkpoint signs yet, and takes an open end for a break only of a log that is whole', async () => {
    const log = createLog({ key });
    log.start();
    log.checkpoint();
    log.decide();
    log.decide();
    const file = put('a.log', log.lines);
    const { code, stdout } = await runCli(['log', 'verify', file]);
    expect(code).toBe(0);
    expect(stdout).toContain('2 lines after it are not signed yet');
    expect(stdout).toContain('no orderly end');
    const whole = await runCli(['log', 'verify', '--whole', file]);
    expect([whole.code, whole.stdout.includes('BREAK, truncated: it has no orderly end')]).toEqual([1, true]);
    const tail = put('b.log', twoBoots().lines.slice(8));
    expect((await runCli(['log', 'verify', tail])).code).toBe(0);
    expect((await runCli(['log', 'verify', '--whole', tail])).code).toBe(1);
  });

  it('takes an end that no checkpoint signs for a break of a log that is whole and signed', async () => {
    const file = put('a.log', twoBoots().lines.slice(0, -1));
    expect((await runCli(['log', 'verify', file])).code).toBe(0);
    const { code, stdout } = await runCli(['log', 'verify', '--whole', file]);
    expect([code, stdout.includes('BREAK, truncated: it has an end that no checkpoint signs')]).toEqual([1, true]);
    const unsigned = put('b.log', twoBoots({}).lines);
    expect((await runCli(['log', 'verify', '--whole', unsigned])).code).toBe(0);
  });

  it('takes no checkpoint for a signature over what stands before a boot that links to nothing', async () => {
    // Whoever holds no key can put a log of their own before one that begins anew.
    const made = createLog({ key });
    made.start();
    for (let i = 0; i < 3; i++) made.decide();
    made.add({ kind: 'LogStop', time: made.time(), signal: 'SIGTERM', records: 3 });
    made.start({ apart: true });
    made.decide();
    made.stop();
    const file = put('a.log', made.lines);
    const { stdout } = await runCli(['log', 'verify', file]);
    expect(stdout).toMatch(
      /ended by SIGTERM; 5 lines of it that no checkpoint signs, and the next boot does not link to it/,
    );
    expect(JSON.parse((await runCli(['log', 'verify', '-o', 'json', file])).stdout).chains[0].unsigned).toBe(5);
    const whole = await runCli(['log', 'verify', '--whole', file]);
    expect([whole.code, whole.stdout.match(/BREAK, truncated: .*/)?.[0]]).toEqual([
      1,
      expect.stringMatching(
        /^BREAK, truncated: boot [0-9a-f]{32}, which the next one does not link to, has an end that no checkpoint signs$/,
      ),
    ]);
  });

  it('takes a line after the orderly end of its boot for one that was put there', async () => {
    const log = twoBoots();
    log.decide();
    const found = /BREAK, inserted: .*a.log line 12 .* it stands after the orderly end of its boot/;
    for (const more of [() => undefined, () => log.start()]) {
      more();
      const { code, stdout } = await runCli(['log', 'verify', put('a.log', log.lines)]);
      expect([code, stdout]).toEqual([1, expect.stringMatching(found)]);
    }
  });

  it('holds the text of a policy against the digest that decisions name', async () => {
    const log = createLog({ key });
    log.start();
    const line = log.policy();
    log.stop();
    expect((await runCli(['log', 'verify', put('good.log', log.lines)])).code).toBe(0);
    const other = String(JSON.parse(line).policyText).replace('preset: enforce', 'preset: monitor');
    for (const policyText of [other, 'a: [', '']) {
      const forged = createLog({ key });
      forged.start();
      forged.policy({ policyText });
      forged.stop();
      const { code, stdout } = await runCli(['log', 'verify', put('forged.log', forged.lines)]);
      expect([policyText, code]).toEqual([policyText, 1]);
      expect(stdout).toContain('BREAK, changed');
      expect(stdout).toContain('line 2 (byte ');
      expect(stdout).toContain('the text of its policy has another digest than the one that it names');
    }
  });

  it('takes a line that is not in canonical form for one that was changed: its readers may differ on what it says', async () => {
    const log = createLog();
    log.start();
    log.decide();
    const line = log.decide();
    const odd = [
      line.replace('"decision":"allow"', '"decision":"deny","decision":"allow"'),
      line.replace('"decision":"allow"', '"decision": "allow"'),
      line.replace('"dryRun"', '"dry\\u0052un"'),
    ];
    for (const last of odd) {
      const { code, stdout } = await runCli(['log', 'verify', put('odd.log', log.lines.with(-1, last))]);
      expect([last === line, code]).toEqual([false, 1]);
      expect(stdout).toContain('BREAK, changed');
      expect(stdout).toContain('it is not written in canonical form');
    }
  });

  it('shows what the log declares as lost, and is no break', async () => {
    const log = createLog({ key });
    log.start();
    log.decide();
    log.lose(3);
    log.stop();
    const { code, stdout } = await runCli(['log', 'verify', put('a.log', log.lines)]);
    expect(code).toBe(0);
    expect(stdout).toContain('lost: 3 lines from 2026-11-25T12:00:02.000Z to 2026-11-25T12:00:04.000Z');
    expect(stdout).toContain('no space left on device');
  });

  it('reads a file once that is given as it is and compressed, and passes over an empty one', async () => {
    const log = twoBoots();
    const files = [put('a.log', log.lines), put('a.log.gz', gzipSync(log.text())), put('empty.log', '')];
    const { code, stdout } = await runCli(['log', 'verify', ...files]);
    expect(code).toBe(0);
    expect(stdout).toContain(`${files[1]} is the same as ${files[0]}: not read`);
    expect(stdout).toContain('empty.log is empty');
  });

  it('reads a file that only begins and ends as another one, and finds what differs between', async () => {
    const { lines } = twoBoots();
    const changed = lines.with(3, lines[3]?.replace('"allow"', '"deny"') ?? '');
    const files = [put('a.log', lines), put('b.log', changed)];
    for (const given of [files, files.toReversed()]) {
      const { code, stdout } = await runCli(['log', 'verify', ...given]);
      expect([code, stdout]).toEqual([1, expect.stringMatching(/BREAK, (inserted|changed): /)]);
    }
  });

  it('answers programs in JSON', async () => {
    const { lines } = twoBoots();
    const { stdout } = await runCli(['log', 'verify', '-o', 'json', put('a.log', lines.toSpliced(3, 1))]);
    expect(JSON.parse(stdout)).toMatchObject({
      kind: 'LogVerification',
      good: false,
      chains: [{ replica: 'webhook-0', break: { kind: 'removed', sequence: 4, place: { line: 4 } } }],
    });
  });

  it('writes names of files in one line, and nothing that moves the cursor of a terminal', async () => {
    const file = put('audit\u001b[2J\ngood: all.log', twoBoots().lines);
    const { stdout } = await runCli(['log', 'verify', file, put('e\u001b[2J.log', '')]);
    expect(stdout).toContain('audit\uFFFD[2J\uFFFDgood: all.log:1');
    expect(stdout).toContain('e\uFFFD[2J.log is empty');
    expect(stdout).not.toContain('\u001b');
    const { stderr } = await runCli(['log', 'verify', `${file}\u001b[2J`]);
    expect(stderr).toContain('\uFFFD[2J: no such file');
    expect(stderr).not.toContain('\u001b');
  });

  it('says what is wrong with a file, and what to give instead', async () => {
    const log = put('a.log', twoBoots().lines);
    const { privateKey } = generateKeyPairSync('ed25519');
    const secret = put('key.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
    const pipe = join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const cut = put('cut.log.gz', gzipSync(twoBoots().text()).subarray(0, -20));
    for (const [args, said] of [
      [
        [log, '--public-key', secret],
        'key.pem: holds a private key: give the public one, which "osmo-admission log key" prints',
      ],
      [[pipe], 'pipe: is a pipe, and logs are read more than once: write it to a file first'],
      [[cut], 'cut.log.gz: the compressed file is cut off'],
    ] as const) {
      const { code, stderr } = await runCli(['log', 'verify', ...args]);
      expect([code, stderr]).toEqual([2, expect.stringContaining(said)]);
    }
    const { stderr } = await runCli(['log', 'summary', log, '--api-audit', log]);
    expect(stderr).toContain("a.log:1: is no event of an API server's audit log (audit.k8s.io, one a line)");
  });

  it('names a break where two servers shared a file as one, and what they said of it as a hint', async () => {
    const log = createLog();
    log.start();
    log.decide();
    const last: AuditLine = JSON.parse(log.decide());
    // Another server finds these lines, and goes on from them; the first one sees that, and moves away.
    log.start();
    log.decide();
    const own = join(directory, 'audit.0123abcd.log');
    const { line } = link(
      { ...last, previous: hashOf(log.lines[2] ?? '') },
      {
        kind: 'FileRecord',
        time: log.time(),
        from: '/logs/audit.log',
        to: own,
        why: 'somebody else has written to it',
      },
    );
    const shared = put('audit.log', log.lines);
    put('audit.0123abcd.log', [line]);
    const { code, stdout } = await runCli(['log', 'verify', shared, own]);
    expect([code, stdout.includes('  BREAK, ')]).toEqual([1, true]);
    expect(stdout).toContain(`hint, no proof: ${own}:1 says that somebody else was at audit.log`);
    const { chains } = JSON.parse((await runCli(['log', 'verify', shared, own, '-o', 'json'])).stdout);
    expect(chains[0].hints).toEqual([expect.stringContaining('two servers')]);
    // Of another file it says nothing.
    const elsewhere = put('audit.log', log.lines.toSpliced(1, 1));
    const other = put('other.log', [line.replaceAll('audit.log', 'b.log').replace('audit.0123abcd', 'c')]);
    expect((await runCli(['log', 'verify', elsewhere, other])).stdout).not.toContain('hint');
  });

  it('reads files, and says so of standard input', async () => {
    for (const name of ['verify', 'summary', 'query']) {
      const { code, stderr } = await runCli(['log', name, '-']);
      expect([code, stderr]).toEqual([
        2,
        'osmo-admission: -: logs are read from files, more than once: write standard input to a file first\n',
      ]);
    }
  });

  it('exits 2 for what it cannot read, naming it', async () => {
    const missing = await runCli(['log', 'verify', join(directory, 'nothing.log')]);
    expect([missing.code, missing.stderr]).toEqual([
      2,
      `osmo-admission: ${join(directory, 'nothing.log')}: no such file\n`,
    ]);
    const cut = put('cut.log.gz', gzipSync(twoBoots().text()).subarray(0, 200));
    expect((await runCli(['log', 'verify', cut])).code).toBe(2);
    expect((await runCli(['log', 'verify'])).stderr).toContain('give the files');
    expect((await runCli(['log', 'verfy'])).stderr).toContain('use verify, reconcile, query, summary, report, key');
  });
});

describe('log key', () => {
  it('prints the public key that verify takes', async () => {
    const pem = key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const { code, stdout, stderr } = await runCli(['log', 'key', '--signing-key', put('key.pem', pem)]);
    expect([code, stdout, stderr]).toEqual([0, key.publicKey, `key ${key.keyId}\n`]);
    const bad = await runCli(['log', 'key', '--signing-key', put('bad.pem', 'x')]);
    expect([bad.code, bad.stdout]).toEqual([2, '']);
  });
});

describe('log query', () => {
  const log = createLog();
  log.start();
  log.decide({ user: { username: 'alice', groups: [] } });
  log.decide({ ...denial, user: { username: '=cmd|"/c calc"!A0', groups: [] } });
  log.decide({ verb: 'update', callerVerified: true, exemptions: [{ reason: 'backups', rules: ['placement'] }] });
  log.add({ kind: 'ConfigurationRecord', time: log.time(), gaps: [] });
  log.stop();
  const query = async (...args: readonly string[]): Promise<readonly string[]> => {
    const { stdout } = await runCli(['log', 'query', put('a.log', log.lines), ...args]);
    return stdout.split('\n').slice(0, -1);
  };

  it('prints the records that meet every filter', async () => {
    expect(await query()).toHaveLength(3);
    expect(await query('--user', 'al*ce')).toEqual([
      '2026-11-25T12:00:01.000Z allow validate create pods a-namespace/a-name by alice',
    ]);
    expect(await query('--decision', 'deny', '--rule', 'placement', '--reason', 'conflict')).toHaveLength(1);
    expect(await query('--decision', 'deny', '--rule', 'node-conformance')).toEqual([]);
    expect(await query('--exempted')).toHaveLength(1);
    expect(await query('--caller-verified', 'true', '--verb', 'update')).toHaveLength(1);
    expect(await query('--caller-verified', 'true')).toHaveLength(1);
    expect(await query('--caller-verified', 'false')).toHaveLength(2);
    expect(
      await query('--verb', 'update', '--namespace', 'a-*', '--name', 'a-name', '--resource', 'pods'),
    ).toHaveLength(1);
    expect(await query('--since', '2026-11-25T12:00:02Z', '--until', '2026-11-25T12:00:03Z')).toHaveLength(1);
    expect(await query('--kind', 'ConfigurationRecord')).toEqual([
      '2026-11-25T12:00:04.000Z webhook-0 5 ConfigurationRecord no gaps',
    ]);
  });

  it('names the policy that came into force, and the exemption that counted', async () => {
    const digest = 'd'.repeat(64);
    const other = createLog({ key });
    other.start();
    other.add({
      kind: 'PolicyRecord',
      time: other.time(),
      outcome: 'loaded',
      digest,
      preset: 'enforce',
      policyText: 'x',
    });
    other.decide({ exemptions: [{ reason: 'backups', rules: ['placement'] }] });
    const file = put('other.log', other.lines);
    expect((await runCli(['log', 'query', file, '--kind', 'PolicyRecord'])).stdout).toContain(
      `loaded; enforce; ${digest}`,
    );
    expect((await runCli(['log', 'query', file, '--exempted'])).stdout).toMatch(/; exempt: backups\n$/);
  });

  it('prints them byte for byte as JSON lines', async () => {
    expect(await query('-o', 'json', '--user', 'alice')).toEqual([log.lines[1]]);
  });

  it('writes CSV of RFC 4180 in which no cell is a formula', async () => {
    const verified = (row: string): string | undefined => row.split(',')[columns.indexOf('callerVerified')];
    const [, ...rest] = await query('-o', 'csv');
    expect(rest.map(verified)).toEqual(['false', 'false', 'true']);
    const rows = await query('-o', 'csv', '--decision', 'deny');
    expect(rows).toHaveLength(2);
    expect(rows.every((row) => row.endsWith('\r'))).toBe(true);
    expect(rows[1]).toContain(`,deny,"'=cmd|""/c calc""!A0",create,pods,`);
  });

  it('names lines that are none, goes on, and exits 2', async () => {
    const file = put('b.log', log.lines.toSpliced(2, 0, 'rubbish'));
    const { code, stdout, stderr } = await runCli(['log', 'query', file]);
    expect([code, stdout.split('\n').length - 1]).toEqual([2, 3]);
    expect(stderr).toContain(`${file}:3: is no line of an audit log`);
  });

  it('refuses a filter that no record can meet: its silence would be taken for evidence', async () => {
    const file = put('a.log', twoBoots().lines);
    for (const [flag, value, use] of [
      ['--decision', 'denied', 'allow, deny, error'],
      ['--phase', 'validating', 'mutate, validate'],
      ['--verb', 'CREATE', 'create, update, delete, connect'],
      ['--enforcement', 'deny', 'enforce, quarantine, warn, audit'],
      ['--kind', 'Policy*', 'PolicyRecord'],
    ] as const) {
      const { code, stderr } = await runCli(['log', 'query', file, flag, value]);
      expect([code, stderr]).toEqual([2, expect.stringContaining(`${flag} is "${value}": no record says that; use `)]);
      expect(stderr).toContain(use);
    }
    expect((await runCli(['log', 'query', file, '--decision', 'd*'])).stdout).toContain(' deny ');
    const ofDecisions = await runCli(['log', 'query', file, '--kind', 'LogStart', '--user', 'alice']);
    expect([ofDecisions.code, ofDecisions.stderr]).toEqual([2, expect.stringContaining('--user is about decisions')]);
    const february = await runCli(['log', 'query', file, '--since', '2026-02-31']);
    expect([february.code, february.stderr]).toEqual([2, expect.stringContaining('--since is "2026-02-31"')]);
  });

  it('hides no record that is forged: not by its time, and writes nothing of it that acts on a terminal or a table', async () => {
    const [line = ''] = twoBoots().lines.slice(1);
    const forged = {
      ...JSON.parse(line),
      // What stands in parentheses, Date.parse passes over.
      time: 'Nov 25 2026 (\n# all good)',
      user: { username: '＝1+1\u001b[2J\u202E', groups: [] },
    };
    const file = put('a.log', [JSON.stringify(forged)]);
    const { stdout } = await runCli(['log', 'query', file, '--since', '2026-01-01', '-o', 'csv']);
    expect(stdout.split('\r\n')).toHaveLength(3);
    expect(stdout).toContain(",'＝1+1\uFFFD[2J\uFFFD,");
    const summary = await runCli(['log', 'summary', file, '-o', 'markdown']);
    expect(summary.stdout).toContain(
      '| lines, Nov 25 2026 (\uFFFD\\# all good) to Nov 25 2026 (\uFFFD\\# all good) | 1 |',
    );
    expect(summary.stdout).not.toContain('\n# all good');
    // A time that cannot be read is neither the beginning nor the end.
    const mixed = put('b.log', [
      line,
      JSON.stringify({ ...forged, time: '' }),
      JSON.stringify({ ...forged, time: '~' }),
    ]);
    const { time } = JSON.parse(line);
    expect((await runCli(['log', 'summary', mixed])).stdout).toMatch(new RegExp(`${time}.*${time}`, 's'));
  });

  it('says so when nothing matches, which is no failure', async () => {
    const { code, stderr } = await runCli(['log', 'query', put('a.log', log.lines), '--user', 'nobody']);
    expect([code, stderr]).toEqual([0, 'no record matches\n']);
    const unclear = await runCli(['log', 'query', put('a.log', log.lines), '--caller-verified', 'yes']);
    expect([unclear.code, unclear.stderr.includes('--caller-verified is "yes": give true or false')]).toEqual([
      2,
      true,
    ]);
    const wrong = await runCli(['log', 'query', put('a.log', log.lines), '--since', 'yesterday']);
    expect([wrong.code, wrong.stderr.includes('--since is "yesterday": give a time')]).toEqual([2, true]);
  });
});

describe('log summary', () => {
  const log = createLog({ key });
  log.start();
  log.add({
    kind: 'PolicyRecord',
    time: log.time(),
    outcome: 'loaded',
    digest: 'd'.repeat(64),
    preset: 'enforce',
    policyText: 'x',
  });
  log.add({
    kind: 'PolicyRecord',
    time: log.time(),
    outcome: 'refused',
    digest: 'd'.repeat(64),
    preset: 'enforce',
    error: 'no',
  });
  log.decide({ ...denial, user: { username: 'mallory|*x*', groups: [] } });
  log.decide(denial);
  log.decide({ exemptions: [{ reason: 'backups', rules: ['placement'] }], dryRun: true });
  log.lose(2);
  log.start();
  log.stop();

  it('counts decisions, denials, exemptions, policies and gaps', async () => {
    const { code, stdout } = await runCli(['log', 'summary', '-o', 'json', put('a.log', log.lines)]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      boots: 2,
      decisions: [
        { value: 'validate deny', count: 2 },
        { value: 'validate allow', count: 1 },
      ],
      dryRuns: 1,
      denials: {
        byRule: [{ value: 'placement', count: 2 }],
        byReason: [{ value: 'placement/conflict', count: 2 }],
        byUser: [{ count: 1 }, { count: 1 }],
        byNamespace: [{ value: 'a-namespace', count: 2 }],
      },
      exemptions: [{ value: 'backups', count: 1 }],
      policies: [{ digest: 'd'.repeat(64), preset: 'enforce', count: 1 }],
      refusedPolicies: 1,
      noServer: [{ orderly: false }],
      lost: 2,
      unreadableLines: 0,
    });
  });

  it('says by which policies decisions were made, and of what the log does not tell, that it does not', async () => {
    const file = put('a.log', log.lines);
    const all = await runCli(['log', 'summary', file]);
    const digest: unknown = JSON.parse(log.lines[3] ?? '').policyDigest;
    expect(all.stdout).toContain(`Decisions, by policy\n  3  ${digest}`);
    expect(all.stdout).toContain('What the API server did not send\n  not known: no record of it in this time');
    // Policy and certificate came before: that they are not told of here says nothing.
    const later = await runCli(['log', 'summary', file, '--since', '2026-11-25T12:00:03Z']);
    expect(later.stdout).toContain('Policies that came into force\n  no record of it in this time');
    const compared = createLog({ key });
    compared.start();
    compared.add({ kind: 'ConfigurationRecord', time: compared.time(), gaps: [] });
    const { stdout } = await runCli(['log', 'summary', put('b.log', compared.lines)]);
    expect(stdout).toContain('What the API server did not send\n  none');
  });

  it('says of a log without a line that it has none, and exits 1', async () => {
    for (const format of ['text', 'markdown', 'json']) {
      const { code, stdout, stderr } = await runCli(['log', 'summary', put('empty.log', ''), '-o', format]);
      expect([code, stderr]).toEqual([1, 'osmo-admission: there is no line to sum up: the files are empty\n']);
      expect(stdout).not.toContain(',  to ');
    }
    const later = await runCli(['log', 'summary', put('a.log', log.lines), '--since', '2030-01-01']);
    expect([later.code, later.stderr]).toEqual([
      1,
      'osmo-admission: there is no line to sum up in the time that was asked for\n',
    ]);
  });

  it('says when no replica at all had a server, and for how long something was not sent', async () => {
    const [one, other] = ['webhook-0', 'webhook-1'].map((replica) => createLog({ replica }));
    const gap = [{ where: 'webhook pods', message: 'is not there' }];
    const all = [
      [one, 6, 10],
      [other, 4, 3],
    ] as const;
    for (const [writer, lines, away] of all) {
      writer?.start();
      if (writer === one) writer?.add({ kind: 'ConfigurationRecord', time: writer.time(), gaps: gap });
      for (let i = 0; i < lines; i++) writer?.decide();
      if (writer === one) writer?.add({ kind: 'ConfigurationRecord', time: writer.time(), gaps: [] });
      writer?.stop();
      writer?.rest(away);
      writer?.start();
      for (let i = 0; i < 9; i++) writer?.decide();
    }
    // The first has none from 9 to 20 s, the other from 5 to 9 s: and no line from 18 s on.
    const files = [put('one.log', one?.lines ?? []), put('other.log', other?.lines ?? [])];
    const summed = async (...args: readonly string[]) => (await runCli(['log', 'summary', ...files, ...args])).stdout;
    const at = (second: number): string => new Date(Date.UTC(2026, 10, 25, 12, 0, second)).toISOString();
    const json = JSON.parse(await summed('-o', 'json'));
    expect(json.configurationGaps).toEqual([{ value: 'webhook pods is not there', count: 1, seconds: 7, open: false }]);
    expect(json.noServer).toHaveLength(2);
    expect(json.noReplica).toEqual([{ from: at(18), to: at(20) }]);
    for (const format of ['text', 'markdown']) {
      const text = (await summed('-o', format)).replaceAll('\\', '');
      expect(text).toContain('No server of any replica');
      expect(text).toContain(`${at(18)} to ${at(20)}`);
      expect(text).toContain('webhook pods is not there, for 7 s');
    }
  });

  it('is text for people, and Markdown in which no name is markup', async () => {
    const file = put('a.log', log.lines);
    const text = await runCli(['log', 'summary', file]);
    expect(text.stdout).toContain('Denials by reason\n  2  placement/conflict');
    expect(text.stdout).toContain('not known: give --api-audit');
    const { stdout } = await runCli(['log', 'summary', '-o', 'markdown', file]);
    expect(stdout).toContain('# Admission audit log, 2026-11-25T12:00:00.000Z to ');
    expect(stdout).toContain('| mallory\\|\\*x\\* | 1 |');
  });
});

describe('the bar', () => {
  const isBar = /^\r\[=* *\] +\d+ %/;
  const [drawn, taken] = ['\r[', '\r\u001b[K'];

  it.each(['verify', 'query', 'summary', 'reconcile'])(
    'of log %s is drawn on a terminal alone, and taken away',
    async (name) => {
      const file = put('a.log', twoBoots().lines);
      const args = ['log', name, file, ...(name === 'reconcile' ? ['--api-audit', put('api.log', '')] : [])];
      const { stderr, stdout } = await runCli(args, { terminal: true });
      expect(stderr).toMatch(isBar);
      expect(stderr.endsWith(taken)).toBe(true);
      expect(stderr.split(drawn).length).toBe(stderr.split(taken).length);
      // A pipe or a file gets nothing of it.
      const plain = await runCli(args);
      expect([plain.stderr, plain.stdout]).toEqual(['', stdout]);
    },
  );

  it('is away whenever something is printed, which may go to the same terminal', async () => {
    const file = put('a.log', twoBoots().lines.toSpliced(2, 0, 'rubbish'));
    const screen: string[] = [];
    let nowMs = 0;
    const print = (text: string): void => void screen.push(text);
    const now = (): number => {
      nowMs += 1_000;
      return nowMs;
    };
    const io = { stdout: print, stderr: print, terminal: true, readStdin: () => Promise.resolve(''), env: {}, now };
    expect(await run(['log', 'query', file], io)).toBe(2);
    expect(screen.some((text) => text.startsWith(drawn))).toBe(true);
    for (const [i, text] of screen.entries()) {
      if (screen[i - 1]?.startsWith(drawn)) expect(text.startsWith(drawn) || text === taken).toBe(true);
    }
  });
});
