import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { AuditRecord } from '../../../../src/policy/model/record.ts';
import { recordHash, recordHashesIn } from '../../../support/record-hash.ts';

/* Which decision of ours belongs to which request, by the two audit logs. They grow to tens of megabytes, so each line is read once. */

/** One write of a pod, by the API server's own audit log. */
export interface AuditedWrite {
  readonly user: string;
  readonly verb: string;
  /** `pods`, `pods/binding`, `bindings`, ... */
  readonly resource: string;
  readonly code: number;
  /** Microseconds, as text that sorts. */
  readonly received: string;
  readonly answered: string;
  /** Of our validating webhook's record, where it was called. */
  readonly recordHash: string | undefined;
}

export interface Decisions {
  /** The writes of a pod so far. */
  writesOf(namespace: string, name: string): readonly AuditedWrite[];
  record(hash: string): AuditRecord | undefined;
  /** The highest resourceVersion of nodes that a decision has gone by. */
  indexVersion(): number;
  /** Policy of the last decision. */
  policyDigest(): string;
}

/** @param folder of the control plane. */
export function createDecisions(folder: string): Decisions {
  const writes = new Map<string, AuditedWrite[]>();
  const records = new Map<string, AuditRecord>();
  let indexVersion = 0;
  let policyDigest = '';
  const readEvents = createLineReader(join(folder, 'api-audit.log'), (line) => {
    const { objectRef, user, impersonatedUser, ...event } = JSON.parse(line);
    if (objectRef?.resource !== 'pods' && objectRef?.resource !== 'bindings') return;
    const key = `${objectRef.namespace}/${objectRef.name}`;
    const named = recordHashesIn(event.annotations).find(({ webhook }) => webhook.endsWith('.validate'));
    const list = writes.get(key) ?? [];
    list.push({
      user: (impersonatedUser ?? user).username,
      verb: event.verb,
      resource: [objectRef.resource, objectRef.subresource].filter(Boolean).join('/'),
      code: event.responseStatus?.code ?? 0,
      received: event.requestReceivedTimestamp,
      answered: event.stageTimestamp,
      recordHash: named?.hash,
    });
    writes.set(key, list);
  });
  const readRecords = createLineReader(join(folder, 'audit.log'), (line) => {
    const record: AuditRecord = JSON.parse(line);
    // Policies, checkpoints and the like stand in the log, too.
    if (record.kind !== 'AdmissionRecord') return;
    records.set(recordHash(line), record);
    indexVersion = Math.max(indexVersion, Number(record.nodes.resourceVersion));
    policyDigest = record.policyDigest;
  });
  return {
    writesOf(namespace, name) {
      readEvents();
      return writes.get(`${namespace}/${name}`) ?? [];
    },
    record(hash) {
      readRecords();
      return records.get(hash);
    },
    indexVersion() {
      readRecords();
      return indexVersion;
    },
    policyDigest() {
      readRecords();
      return policyDigest;
    },
  };
}

/** Reads what has been added to a file since the last call, whole lines only. */
function createLineReader(file: string, take: (line: string) => void): () => void {
  const chunk = Buffer.alloc(1 << 20);
  let position = 0;
  let rest = Buffer.alloc(0);
  return () => {
    const descriptor = openSync(file, 'r');
    try {
      for (;;) {
        const length = readSync(descriptor, chunk, 0, chunk.length, position);
        if (length === 0) return;
        position += length;
        const all = Buffer.concat([rest, chunk.subarray(0, length)]);
        const end = all.lastIndexOf(10) + 1;
        rest = all.subarray(end);
        for (const line of all.toString('utf8', 0, end).split('\n')) if (line !== '') take(line);
      }
    } finally {
      closeSync(descriptor);
    }
  };
}
