import type { ClaimWatch } from '../cluster/claim-watch.ts';
import type { NodeWatch } from '../cluster/node-watch.ts';
import type { PolicyStore } from '../config/policy-store.ts';
import type { NodeSource } from '../policy/model/snapshot.ts';
import type { ClientCa } from './client-ca.ts';
import type { ConfigurationCheck } from './configuration-check.ts';
import type { Check } from './health.ts';

/* The lines of /readyz that are about what the server knows. */

/** A replica that cannot list is ready all the same after this: it judges what it can without, and says the rest. */
const syncPatienceMs = 30_000;

/** A file that is refused leaves the last good policy in force. */
export function policyCheck(policies: PolicyStore): Check {
  const { outcome, error } = policies.status();
  const digest = policies.current().digest.slice(0, 12);
  if (outcome === 'success') return { name: 'policy', state: 'ok', detail: `digest ${digest}` };
  return { name: 'policy', state: 'note', detail: `the file is refused, ${digest} stays in force: ${error}` };
}

/** @param error why the last reload failed; empty for none. @param expiresAt seconds of the Unix epoch. */
export function certificateCheck(error: string, expiresAt: number, nowMs: number): Check {
  const expires = `expires ${new Date(expiresAt * 1000).toISOString()}`;
  if (error !== '') return { name: 'certificate', state: 'note', detail: `${expires}; not reloaded: ${error}` };
  // An expired certificate makes every call fail, but an unready replica would not serve a better one.
  return { name: 'certificate', state: expiresAt * 1000 < nowMs ? 'note' : 'ok', detail: expires };
}

/** Only where client certificates are asked for. A file that is refused leaves the last good authorities in use. */
export function clientCaChecks(clientCa: ClientCa | undefined, nowMs: number): readonly Check[] {
  if (clientCa === undefined) return [];
  const { pems, expiresAtMs } = clientCa.current();
  const error = clientCa.error();
  const detail = `${pems.length} ${pems.length === 1 ? 'authority' : 'authorities'}, the last until ${new Date(expiresAtMs).toISOString()}`;
  if (error !== '') return [{ name: 'client-ca', state: 'note', detail: `${detail}; not reloaded: ${error}` }];
  return [{ name: 'client-ca', state: expiresAtMs < nowMs ? 'note' : 'ok', detail }];
}

/** Never unready for it: taking replicas out of the Service would judge still less. Without an API server there is nothing to compare. */
export function configurationChecks(check: ConfigurationCheck | undefined): readonly Check[] {
  if (check === undefined) return [];
  const gaps = check.gaps();
  if (gaps === undefined) return [{ name: 'configuration', state: 'note', detail: 'not compared yet' }];
  const [first] = gaps;
  if (first === undefined) return [{ name: 'configuration', state: 'ok', detail: '' }];
  const more = gaps.length === 1 ? '' : ` (and ${gaps.length - 1} more)`;
  return [{ name: 'configuration', state: 'note', detail: `${first.where} ${first.message}${more}` }];
}

/** Unready until the first list, for a while. */
export function nodesCheck(source: NodeSource, watch: NodeWatch | undefined, upMs: number): Check {
  const { state, nodes } = source.snapshot();
  const error = watch?.status().error ?? '';
  const detail = `${state}, ${nodes.size} nodes${error === '' ? '' : `; ${error}`}`;
  if (state === 'synced') return { name: 'nodes', state: 'ok', detail };
  return { name: 'nodes', state: state === 'unsynced' && upMs < syncPatienceMs ? 'failed' : 'note', detail };
}

/** Without claims pods are judged all the same. A replica that is still at its first list waits for it, as for nodes. */
export function claimsChecks(watch: ClaimWatch | undefined, upMs: number): readonly Check[] {
  const status = watch?.status();
  if (status === undefined) return [];
  const { state, templates, claims, error } = status;
  const name = 'claims';
  if (state === 'absent') {
    return [
      { name, state: 'note', detail: 'off: the API server serves no resource claims; device classes match no pod' },
    ];
  }
  const detail = `${state}, ${templates} templates, ${claims} claims${error === '' ? '' : `; ${error}`}`;
  if (state === 'synced') return [{ name, state: 'ok', detail }];
  return [{ name, state: state === 'unsynced' && error === '' && upMs < syncPatienceMs ? 'failed' : 'note', detail }];
}

/** What metrics say of live nodes. */
export function nodeFigures(
  source: NodeSource | undefined,
  nowMs: number,
): { state: string; count: number; ageSeconds: number | undefined } {
  if (source === undefined) return { state: 'unsynced', count: 0, ageSeconds: undefined };
  const { state, nodes, confirmedAtMs } = source.snapshot();
  return {
    state,
    count: nodes.size,
    ageSeconds: confirmedAtMs === undefined ? undefined : Math.max(0, nowMs - confirmedAtMs) / 1000,
  };
}
