import supertest from 'supertest';
import { describe, expect, it } from 'vitest';
import { rules } from '../../src/policy/rules/index.ts';
import { refusals } from '../../src/server/caller.ts';
import { type Check, createHealthApp } from '../../src/server/health.ts';
import { createMetrics, type MetricSources } from '../../src/server/metrics.ts';
import { record } from '../support/record.ts';

const sources: MetricSources = {
  nodes: () => ({ state: 'synced', count: 6, ageSeconds: 3.5 }),
  quarantine: () => undefined,
  certificateExpiry: () => 1_800_000_000,
  auditFailing: () => true,
};

function appWith(checks: readonly Check[]) {
  return createHealthApp({ checks: () => checks, metrics: createMetrics(sources).render });
}

const finding = {
  rule: 'operator-node-guard',
  reason: 'tolerates',
  enforcement: 'enforce',
  field: 'spec.tolerations[0]',
  message: 'secret-of-a-user',
};

describe('/readyz', () => {
  it('is ready with good news and notes, and says each', async () => {
    const answer = await supertest(
      appWith([
        { name: 'policy', state: 'ok', detail: 'digest 12' },
        { name: 'nodes', state: 'note', detail: 'stale' },
      ]),
    ).get('/readyz');
    expect(answer.status).toBe(200);
    expect(answer.text).toBe('[+] policy: digest 12\n[~] nodes: stale\nready\n');
  });

  it('is not ready while one check fails', async () => {
    const answer = await supertest(
      appWith([
        { name: 'policy', state: 'ok', detail: '' },
        { name: 'draining', state: 'failed', detail: 'shutting down' },
      ]),
    ).get('/readyz');
    expect(answer.status).toBe(503);
    expect(answer.text).toBe('[+] policy\n[-] draining: shutting down\nnot ready\n');
  });
});

describe('/healthz and the rest', () => {
  it('answers, and says what there is', async () => {
    const app = appWith([]);
    expect((await supertest(app).get('/healthz')).text).toBe('ok\n');
    const missing = await supertest(app).get('/nothing');
    expect(missing.status).toBe(404);
    expect(missing.text).toContain('/metrics');
    expect(missing.headers['x-powered-by']).toBeUndefined();
  });
});

/** Samples of the Prometheus text, by name with labels. */
function samples(text: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const match = /^([a-z_]+(?:\{(?:[a-z_]+="[^"]*",?)*\})?) (\S+)$/.exec(line);
    if (match === null) throw new Error(`not Prometheus text: ${line}`);
    found.set(match[1] ?? '', Number(match[2]));
  }
  return found;
}

describe('/metrics', () => {
  it('counts decisions by rule, reason, operation and enforcement', async () => {
    const metrics = createMetrics(sources);
    metrics.decided(record({}));
    metrics.decided(record({ decision: 'deny', findings: [finding] }));
    metrics.decided(record({ phase: 'mutate', patch: ['/spec/affinity'] }));
    const found = samples((await metrics.render()).text);
    expect(
      found.get(
        'osmo_admission_decisions_total{rule="operator-node-guard",reason="tolerates",operation="create",enforcement="enforce"}',
      ),
    ).toBe(1);
    expect(
      found.get('osmo_admission_decisions_total{rule="placement",reason="none",operation="create",enforcement="none"}'),
    ).toBe(2);
    expect(found.get('osmo_admission_requests_total{path="/validate",decision="deny",dry_run="false"}')).toBe(1);
    expect(found.get('osmo_admission_patches_total')).toBe(1);
    expect(found.get('osmo_admission_duration_seconds_count{path="/validate"}')).toBe(2);
    expect(found.get('osmo_admission_duration_seconds_bucket{le="0.00025",path="/validate"}')).toBe(0);
    expect(found.get('osmo_admission_duration_seconds_bucket{le="0.0005",path="/validate"}')).toBe(2);
  });

  it('shows policy, certificate, node cache and losses', async () => {
    const metrics = createMetrics(sources);
    metrics.policyReload('success', 'aaa', 100);
    metrics.policyReload('failure', 'aaa', 200);
    metrics.certificateReload('success');
    metrics.auditLost('file', 3);
    metrics.auditFault('rotate');
    metrics.failed('malformed');
    metrics.clientError('too-large');
    metrics.tlsError();
    const found = samples((await metrics.render()).text);
    expect(found.get('osmo_admission_policy_info{digest="aaa"}')).toBe(1);
    expect(found.get('osmo_admission_policy_reload_failing')).toBe(1);
    expect(found.get('osmo_admission_policy_last_success_timestamp_seconds')).toBe(100);
    expect(found.get('osmo_admission_policy_reloads_total{outcome="failure"}')).toBe(1);
    expect(found.get('osmo_admission_certificate_expiry_timestamp_seconds')).toBe(1_800_000_000);
    expect(found.get('osmo_admission_node_cache_nodes')).toBe(6);
    expect(found.get('osmo_admission_node_cache_age_seconds')).toBe(3.5);
    expect(found.get('osmo_admission_node_cache_synced')).toBe(1);
    expect(found.get('osmo_admission_audit_lost_records_total{sink="file"}')).toBe(3);
    expect(found.get('osmo_admission_audit_faults_total{operation="rotate"}')).toBe(1);
    expect(found.get('osmo_admission_audit_failing')).toBe(1);
    expect(found.get('osmo_admission_failures_total{kind="malformed"}')).toBe(1);
    expect(found.get('osmo_admission_client_errors_total{kind="too-large"}')).toBe(1);
    expect(found.get('osmo_admission_tls_errors_total')).toBe(1);
    expect(found.get('osmo_admission_resident_memory_bytes')).toBeGreaterThan(0);
  });

  it('drops the digest of the policy before', async () => {
    const metrics = createMetrics(sources);
    metrics.policyReload('success', 'aaa', 1);
    metrics.policyReload('success', 'bbb', 2);
    const { text } = await metrics.render();
    expect(text).not.toContain('aaa');
  });

  it('has no age where none applies', async () => {
    const metrics = createMetrics({
      nodes: () => ({ state: 'unsynced', count: 0, ageSeconds: undefined }),
      quarantine: () => undefined,
      certificateExpiry: () => undefined,
      auditFailing: () => undefined,
    });
    const found = samples((await metrics.render()).text);
    expect(found.get('osmo_admission_node_cache_synced')).toBe(0);
    expect(found.has('osmo_admission_node_cache_age_seconds')).toBe(false);
    expect(found.has('osmo_admission_audit_failing')).toBe(false);
  });

  it('has no label whose values a user can choose', async () => {
    const metrics = createMetrics(sources);
    metrics.decided(
      record({
        findings: [finding],
        exemptions: [{ reason: 'reason-of-an-exemption', rules: ['placement'] }],
        error: 'error-text',
      }),
    );
    const { text } = await metrics.render();
    for (const chosen of [
      'alice',
      'a-group',
      'a-namespace',
      'a-name',
      'uid-of',
      'secret-of',
      'reason-of',
      'error-text',
      'tolerations',
    ]) {
      expect(text).not.toContain(chosen);
    }
    const values = [...text.matchAll(/(rule|reason)="([^"]*)"/g)].map((match) => match[2] ?? '');
    const known = new Set([
      'none',
      ...Object.keys(refusals),
      ...rules.flatMap(({ id, reasons }) => [id, ...Object.keys(reasons)]),
    ]);
    expect(values.filter((value) => !known.has(value))).toEqual([]);
  });
});
