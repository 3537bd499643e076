import { describe, expect, it } from 'vitest';
import { parseGoDuration } from '../../src/policy/kube/go-duration.ts';

describe('parseGoDuration', () => {
  const good: readonly (readonly [string, number])[] = [
    ['10s', 10_000],
    ['1m30s', 90_000],
    ['1.5s', 1_500],
    ['500ms', 500],
    ['.5s', 500],
    ['1.s', 1_000],
    ['2h', 7_200_000],
    ['100us', 0.1],
    ['100µs', 0.1],
    ['1ns', 1e-6],
    ['0', 0],
    ['0s', 0],
  ];
  for (const [text, ms] of good) it(`reads ${text}`, () => expect(parseGoDuration(text)).toBeCloseTo(ms, 9));
  for (const text of ['', '5', 's', '-1s', '+', '1 s', '1d', '1e3s', '1s2', 'ten', '.s', '9'.repeat(70)]) {
    it(`refuses ${JSON.stringify(text)}`, () => expect(parseGoDuration(text)).toBeUndefined());
  }
});
