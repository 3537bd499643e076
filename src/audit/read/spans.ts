/** Milliseconds of the Unix epoch, both included. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Spans of time that touch, made into one each, in order. */
export function unionOf(spans: readonly Span[]): readonly Span[] {
  const union: { readonly fromMs: number; toMs: number }[] = [];
  for (const { fromMs, toMs } of spans.toSorted((a, b) => a.fromMs - b.fromMs)) {
    const last = union.at(-1);
    if (last !== undefined && fromMs <= last.toMs) last.toMs = Math.max(last.toMs, toMs);
    else union.push({ fromMs, toMs });
  }
  return union;
}

/** What lies between spans, none of which covers it. */
export function between(spans: readonly Span[]): readonly Span[] {
  const union = unionOf(spans);
  return union.slice(1).map(({ fromMs }, index) => ({ fromMs: union[index]?.toMs ?? fromMs, toMs: fromMs }));
}
