/** What many sequences add up to. */
export interface Counts {
  sequences: number;
  writes: number;
  /** Accepted by the API server. */
  accepted: number;
  /** By our webhook. */
  denied: number;
  /** By the API server itself: rights, validation, what is not there. By the beginning of what it said. */
  readonly refused: Map<string, number>;
  /** Pods that got a node, and workflow pods among them that no exemption names. */
  bound: number;
  boundWorkflow: number;
  /** Bindings that overlap a write of the very label that they are judged by. */
  races: number;
}

export const noCounts = (): Counts => ({
  ...{ sequences: 0, writes: 0, accepted: 0, denied: 0, refused: new Map(), bound: 0, boundWorkflow: 0, races: 0 },
});

/** The counts in a line. */
export function textOf({ sequences: done, writes, accepted, denied, refused, ...bindings }: Counts): string {
  const others = writes - accepted - denied;
  const { bound, boundWorkflow, races } = bindings;
  return `${done} sequences: ${writes} writes, ${accepted} accepted, ${denied} denied by the webhook, ${others} refused by the API server in ${refused.size} ways; ${bound} pods bound, ${boundWorkflow} of them workflow pods without an exemption, ${races} while their labels changed`;
}
