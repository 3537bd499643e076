import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { reviewOf } from '../golden/entries.ts';
import { FakeApiServer, status } from '../nodes/fake-api-server.ts';
import { runCli } from '../support/cli.ts';
import { osmoPod } from '../support/fixtures.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cli-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const put = (name: string, content: string | object): string => {
  const path = join(directory, name);
  writeFileSync(path, typeof content === 'string' ? content : stringify(content));
  return path;
};

const good = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'good', namespace: 'osmo-workflows' },
  spec: { containers: [{ name: 'c' }] },
};
const bad = {
  ...good,
  metadata: { ...good.metadata, name: 'bad' },
  spec: { containers: [{ name: 'c' }], tolerations: [{ operator: 'Exists' }] },
};
const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'cm' } };
const documents = (...objects: readonly object[]): string => objects.map((object) => stringify(object)).join('---\n');

describe('review', () => {
  it('exits 0 when all is admitted, and shows the patch', async () => {
    const { code, stdout } = await runCli(['review', '-f', put('a.yaml', good)]);
    expect(code).toBe(0);
    expect(stdout).toContain('pod/good in osmo-workflows');
    expect(stdout).toContain('ADMITTED');
    expect(stdout).toContain('+ spec.affinity:');
    expect(stdout).toContain('1 admitted, 0 denied');
  });

  it('exits 1 when something is denied, with the whole message', async () => {
    const { code, stdout } = await runCli(['review', '-f', put('a.yaml', documents(good, bad))]);
    expect(code).toBe(1);
    expect(stdout).toContain('pod/bad in osmo-workflows');
    expect(stdout).toMatch(/denied: spec\.tolerations\[0\] .* \(operator-node-guard\/tolerates\)/);
    expect(stdout).toContain('a.yaml, document 2');
    expect(stdout).toContain('1 admitted, 1 denied');
  });

  it('lists kinds that no rule covers, which change no exit code', async () => {
    const { code, stdout } = await runCli(['review', '-f', put('a.yaml', documents(configMap, good))]);
    expect(code).toBe(0);
    expect(stdout).toContain('configmap/cm in default (');
    expect(stdout).toContain('no rule covers this kind');
    expect(stdout).toContain('1 admitted, 0 denied, 1 not judged');
  });

  it('opens Lists, and Lists in Lists', async () => {
    const list = {
      apiVersion: 'v1',
      kind: 'List',
      items: [good, { apiVersion: 'v1', kind: 'PodList', items: [{ metadata: bad.metadata, spec: bad.spec }] }],
    };
    const { code, stdout } = await runCli(['review', '-f', put('a.yaml', list)]);
    expect(code).toBe(1);
    expect(stdout).toContain('item 2, item 1');
  });

  it('takes a whole AdmissionReview, with its user and operation', async () => {
    const review = reviewOf(
      {
        name: '',
        input: {},
        context: { user: 'alice' },
        expected: { allowed: true, findings: [], warnings: [], patch: [] },
      },
      bad,
    );
    const { code, stdout } = await runCli(['review', '-o', 'json', '-f', put('a.json', JSON.stringify(review))]);
    expect(code).toBe(1);
    expect(JSON.parse(stdout).results[0]).toMatchObject({ outcome: 'denied', name: 'bad', status: { code: 403 } });
  });

  it('reads standard input, several files and directories', async () => {
    mkdirSync(join(directory, 'dir'));
    put('dir/1.yaml', good);
    put('dir/2.json', JSON.stringify(bad));
    put('dir/notes.txt', 'not read');
    const { code, stdout } = await runCli(['review', '-f', join(directory, 'dir'), '-f', '-'], {
      stdin: stringify(good),
    });
    expect(code).toBe(1);
    expect(stdout).toContain('(standard input)');
    expect(stdout).toContain('2 admitted, 1 denied');
  });

  it('judges a pod outside workflow namespaces as what it is', async () => {
    const { stdout } = await runCli(['review', '-f', put('a.yaml', { ...bad, metadata: { name: 'x' } })]);
    expect(stdout).toContain('in default');
    expect(stdout).toContain('no workflow pod');
  });

  it('-n gives a namespace to objects that name none, and to no others', async () => {
    const file = put(
      'a.yaml',
      documents({ ...bad, metadata: { name: 'x' } }, { ...bad, metadata: { name: 'y', namespace: 'apps' } }),
    );
    const { code, stdout } = await runCli(['review', '-n', 'osmo-workflows', '-f', file]);
    expect(code).toBe(1);
    expect(stdout).toContain('pod/x in osmo-workflows');
    expect(stdout).toContain('pod/y in apps');
  });

  it('knows the resource claims of the input, in whatever file; says so of one that is not there', async () => {
    const claiming = {
      ...good,
      spec: { ...good.spec, resourceClaims: [{ name: 'r', resourceClaimTemplateName: 'gpu' }] },
    };
    const template = (requests: unknown): object => ({
      apiVersion: 'resource.k8s.io/v1',
      kind: 'ResourceClaimTemplate',
      metadata: { name: 'gpu' },
      spec: { spec: { devices: { requests } } },
    });
    const pod = put('a.yaml', claiming);
    const claim = put('b.yaml', template([{ name: 'r', exactly: { deviceClassName: 'gpu.nvidia.com' } }]));
    const both = await runCli(['review', '-f', pod, '-f', claim, '-n', 'osmo-workflows']);
    expect(both.code).toBe(0);
    expect(both.stdout).toContain('node-type: gpu');
    const alone = await runCli(['review', '-f', pod]);
    expect(alone.code).toBe(0);
    expect(alone.stdout).toContain('is unknown (it is not in the input)');
    expect(alone.stdout).toContain('(placement/claim-unknown)');
    const broken = await runCli(['review', '-f', put('c.yaml', template('all')), '-f', pod]);
    expect(broken.code).toBe(2);
    expect(broken.stdout).toContain('ResourceClaimTemplate.spec.spec.devices.requests: must be a list');
  });

  it('shows the guide as a node shows it', async () => {
    const { stdout } = await runCli([
      'review',
      '-f',
      join(import.meta.dirname, '..', 'fixtures', 'nodes', 'cluster.yaml'),
    ]);
    expect(stdout).toMatch(/kubernetes-version {2}meets {5}v1\.32\.4; needs 1\.30\.0 or later/);
    expect(stdout).toContain('Warning: no live nodes are given: judged as a first registration');
  });

  it('writes JSON and YAML with the same content', async () => {
    const file = put('a.yaml', documents(good, bad, configMap));
    const json = JSON.parse((await runCli(['review', '-o', 'json', '-f', file])).stdout);
    const yaml = parse((await runCli(['review', '-o', 'yaml', '-f', file])).stdout);
    expect(yaml).toEqual(json);
    expect(json.summary).toEqual({ admitted: 1, denied: 1, notJudged: 1, failed: 0 });
    expect(json.results[0].patch[0]).toMatchObject({ op: 'add', path: '/spec/affinity' });
  });

  it('is the same, byte for byte, each time', async () => {
    const file = put('a.yaml', documents(good, bad));
    expect(await runCli(['review', '-f', file])).toEqual(await runCli(['review', '-f', file]));
  });

  describe('exits 2 when something could not be judged, names it, and judges the rest', () => {
    const cases: readonly (readonly [string, string, string])[] = [
      ['broken YAML', `${stringify(good)}---\na: [\n`, 'is not valid YAML'],
      ['no object', '- a\n', 'is no Kubernetes object'],
      ['an empty file', '', 'holds no object'],
      [
        'an invalid quantity',
        stringify({ ...good, spec: { containers: [{ name: 'c', resources: { limits: { cpu: 'None' } } }] } }),
        'spec.containers[0].resources.limits[cpu]: "None" is no quantity',
      ],
      [
        'a wrong type',
        stringify({ ...good, spec: { tolerations: 'all' } }),
        'spec.tolerations: must be a list, not a string',
      ],
      [
        'an AdmissionReview of another version',
        stringify({ apiVersion: 'admission.k8s.io/v1beta1', kind: 'AdmissionReview' }),
        'must be admission.k8s.io/v1',
      ],
    ];
    for (const [name, text, message] of cases) {
      it(name, async () => {
        const { code, stdout } = await runCli(['review', '-f', put('bad.yaml', text), '-f', put('good.yaml', good)]);
        expect(code).toBe(2);
        expect(stdout).toContain(message);
        expect(stdout).toContain('pod/good');
      });
    }

    it('a file that is not there', async () => {
      const { code, stdout } = await runCli([
        'review',
        '-f',
        join(directory, 'none.yaml'),
        '-f',
        put('bad2.yaml', bad),
      ]);
      expect(code).toBe(2);
      expect(stdout).toContain('none.yaml: no such file');
      expect(stdout).toContain('1 denied');
    });
  });

  describe('exits 2 when called wrongly, and says how to call it', () => {
    const cases: readonly (readonly [string, readonly string[], string])[] = [
      ['no file', ['review'], 'give a manifest: -f FILE'],
      ['an unknown flag', ['review', '--node', 'x', '-f', '-'], 'there is no flag --node; did you mean --nodes?'],
      ['an unknown format', ['review', '-f', '-', '-o', 'xml'], 'use text, json, yaml'],
      [
        'a policy file that is not there',
        ['review', '-f', '-', '--config', '/nowhere.yaml'],
        '/nowhere.yaml: no such file',
      ],
      [
        'a nodes file that is not there',
        ['review', '-f', '-', '--nodes', '/nowhere.yaml'],
        '/nowhere.yaml: cannot be read',
      ],
      ['an unknown command', ['reviews'], 'there is no command "reviews"'],
      ['no command', [], ''],
    ];
    for (const [name, args, message] of cases) {
      it(name, async () => {
        const { code, stderr } = await runCli(args);
        expect(code).toBe(2);
        expect(stderr).toContain(message);
      });
    }

    it('a bad policy file, with its lines', async () => {
      const config = put('policy.yaml', 'apiVersion: osmo-admission/v1alpha1\nkind: AdmissionPolicy\npreset: x\n');
      const { code, stderr } = await runCli(['review', '-f', put('a.yaml', good), '--config', config]);
      expect(code).toBe(2);
      expect(stderr).toContain('policy.yaml:3:9: preset is "x": write one of enforce, monitor');
    });
  });

  it('takes the policy file from the environment', async () => {
    const config = put('policy.yaml', 'apiVersion: osmo-admission/v1alpha1\nkind: AdmissionPolicy\npreset: monitor\n');
    expect((await runCli(['review', '-f', put('a.yaml', bad)], { env: { OSMO_ADMISSION_CONFIG: config } })).code).toBe(
      0,
    );
  });

  it('judges by --as and --as-group', async () => {
    const config = put(
      'policy.yaml',
      'apiVersion: osmo-admission/v1alpha1\nkind: AdmissionPolicy\nexemptions:\n- {reason: break glass, users: [alice], groups: [sre]}\n',
    );
    const args = ['review', '-f', put('a.yaml', bad), '--config', config, '--as', 'alice'];
    expect((await runCli(args)).code).toBe(1);
    const { code, stdout } = await runCli([...args, '--as-group', 'sre']);
    expect(code).toBe(0);
    expect(stdout).toContain('exempt from operator-node-guard, placement: break glass');
  });

  it('cleans what an author wrote before it reaches a terminal', async () => {
    const { stdout } = await runCli([
      'review',
      '-f',
      put(
        'a.yaml',
        JSON.stringify({
          ...osmoPod('chart-default-cpu'),
          metadata: { name: 'evil\u001b[2J\u202e', namespace: 'osmo-workflows' },
        }),
      ),
    ]);
    expect(stdout).not.toContain('\u001b');
    expect(stdout).not.toContain('\u202e');
  });
});

describe('policy', () => {
  it('defaults prints a file that check accepts', async () => {
    const { stdout } = await runCli(['policy', 'defaults']);
    const { code, stdout: said } = await runCli(['policy', 'check', put('policy.yaml', stdout)]);
    expect(code).toBe(0);
    expect(said).toMatch(/good, digest [0-9a-f]{64}/);
    expect((await runCli(['policy', 'check', '-'], { stdin: stdout })).code).toBe(0);
  });

  it('check exits 2 with every error of a bad file', async () => {
    const { code, stderr } = await runCli(['policy', 'check', '-'], {
      stdin:
        'apiVersion: osmo-admission/v1alpha1\nkind: AdmissionPolicy\nprest: a\nrules: {placement: {enforcement: no}}\n',
    });
    expect(code).toBe(2);
    expect(stderr.split('\n').filter((line) => line.includes('standard input:'))).toHaveLength(2);
  });

  it('schema prints the JSON Schema', async () => {
    expect(JSON.parse((await runCli(['policy', 'schema'])).stdout).title).toBe('OSMO admission policy');
  });

  it('check says what a good file leaves open, and so does manifests, on standard error', async () => {
    const file = put('policy.yaml', {
      apiVersion: 'osmo-admission/v1alpha1',
      kind: 'AdmissionPolicy',
      preset: 'monitor',
    });
    for (const args of [
      ['policy', 'check', file],
      ['manifests', '--config', file],
    ]) {
      const { code, stdout, stderr } = await runCli(args);
      expect(code).toBe(0);
      expect(stderr).toContain('note: preset is monitor: nothing is denied or patched');
      expect(stdout).not.toContain('note:');
    }
  });

  it('check --kubeconfig names every gap of a cluster and exits 1', async () => {
    const server = new FakeApiServer();
    let pods = 200;
    server.misbehave = (request, response) => {
      if (request.url?.startsWith('/api/v1/pods') === true) response.writeHead(pods).end('{"items":[]}');
      else status(response, 404, 'not found');
      return true;
    };
    const kubeconfig = put('kubeconfig', {
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
      clusters: [{ name: 'c', cluster: { server: await server.start() } }],
      users: [{ name: 'u', user: {} }],
    });
    const file = put('policy.yaml', { apiVersion: 'osmo-admission/v1alpha1', kind: 'AdmissionPolicy' });
    const { code, stdout } = await runCli(['policy', 'check', file, '--kubeconfig', kubeconfig]);
    expect(code).toBe(1);
    expect(stdout).toContain('gap: ValidatingWebhookConfiguration/osmo-admission-webhook is not there');
    // What could not be asked is no answer.
    pods = 403;
    const unknown = await runCli(['policy', 'check', file, '--kubeconfig', kubeconfig]);
    await server.stop();
    expect(unknown.code).toBe(2);
    expect(unknown.stdout).toContain('gap: pods cannot be listed');
  });

  it('check exits 2 for a kubeconfig that cannot be used', async () => {
    const file = put('policy.yaml', { apiVersion: 'osmo-admission/v1alpha1', kind: 'AdmissionPolicy' });
    const { code, stderr } = await runCli(['policy', 'check', file, '--kubeconfig', join(directory, 'none')]);
    expect(code).toBe(2);
    expect(stderr).toContain('cannot be read as a kubeconfig');
  });

  it('says what there is when called wrongly', async () => {
    expect((await runCli(['policy'])).code).toBe(2);
    expect((await runCli(['policy', 'print'])).stderr).toContain('use check, defaults or schema');
    expect((await runCli(['policy', 'check'])).stderr).toContain('give the policy file');
  });
});

describe('help', () => {
  for (const args of [['--help'], ['review', '--help'], ['policy', '--help']]) {
    it(args.join(' '), async () => {
      const { code, stdout } = await runCli(args);
      expect(code).toBe(0);
      expect(stdout).toContain('Usage:');
    });
  }
});
