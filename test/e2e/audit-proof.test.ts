import { describeAuditProof } from './support/audit-proof/describe.ts';

/* The audit log against the API server's, through kills, and against whoever tampers with it. 5,000 requests: full/audit-proof.test.ts. */

describeAuditProof(200, 120_000);
