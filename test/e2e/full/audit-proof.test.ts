import { describeAuditProof } from '../support/audit-proof/describe.ts';

/* What ../audit-proof.test.ts shows, with 5,000 requests. */

describeAuditProof(5_000, 900_000);
