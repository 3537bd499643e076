import type { ApiAnswer } from '../../../cluster/api-client.ts';
import type { Counts } from './counts.ts';
import type { Who } from './operations.ts';
import type { Verdict } from './oracle.ts';
import type { Request } from './requests.ts';
import { userOf, type World } from './world.ts';

export interface Violation {
  /** A workflow pod got an operator node; a harmful write passed; a harmless one did not; what was stored is not what it must be. */
  readonly kind: 'landed' | 'admitted' | 'refused' | 'stored';
  /** What, and all that was written until then. */
  readonly text: string;
}

/** Sends the writes of one sequence, and keeps what went wrong. */
export interface Writer {
  readonly violations: readonly Violation[];
  violated(kind: Violation['kind'], what: string): void;
  /** Sends a write, and holds the answer against the oracle's. @param node whose kubelet it is, if it is one. */
  write(who: Who, node: string, verdict: Verdict, request: Request): Promise<ApiAnswer>;
}

export function createWriter({ plane }: World, counts: Counts): Writer {
  const journal: string[] = [];
  const violations: Violation[] = [];
  const violated: Writer['violated'] = (kind, what) => {
    violations.push({ kind, text: `${what}, after\n${journal.join('\n')}` });
  };
  return {
    violations,
    violated,
    async write(who, node, verdict, { method, path, body, contentType }) {
      const as = userOf(who, node);
      const answer = await plane.api.send(method, path, body, {
        as,
        ...(contentType !== undefined && { contentType }),
      });
      const message = answer.code < 300 ? '' : String(answer.body.message);
      journal.push(`${as.user} ${method} ${path} ${JSON.stringify(body)}: ${answer.code} ${message.slice(0, 400)}`);
      counts.writes += 1;
      if (answer.code < 300) {
        counts.accepted += 1;
        if (verdict === 'deny') violated('admitted', 'a harmful write was admitted');
      } else if (/admission webhook "[a-z-]+\.(validate|mutate)\.osmo-admission" denied the request/.test(message)) {
        counts.denied += 1;
        if (verdict === 'admit') violated('refused', 'a harmless write was refused');
      } else if (answer.code >= 500 || message.includes('failed calling webhook')) {
        violated('refused', 'a write could not be judged');
      } else {
        const reason = `${answer.code} ${method} ${who === 'kubelet' ? 'kubelet: ' : ''}${reasonOf(message)}`;
        counts.refused.set(reason, (counts.refused.get(reason) ?? 0) + 1);
      }
      return answer;
    },
  };
}

/** The part of a refusal that is the same for all of its kind. */
const reasonOf = (message: string): string =>
  message
    .replaceAll(/"[^"]*"/g, '"..."')
    .replaceAll(/\b(w|r)\d+-\S+/g, '...')
    .slice(0, 160);
