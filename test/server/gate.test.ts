import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createGate, type Gate, type Visit } from '../../src/server/gate.ts';

const idleMs = 500;
const longestMs = 2_000;

let inside: string[];
let turnedOut: string[];
let visits: Map<string, Visit>;

beforeEach(() => {
  inside = [];
  turnedOut = [];
  visits = new Map();
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const gateFor = (room: number): Gate => createGate({ room, idleMs, longestMs });

/** @param name `source/anything` */
function come(gate: Gate, ...names: readonly string[]): void {
  for (const name of names) {
    visits.set(
      name,
      gate.enter({
        source: name.split('/')[0] ?? '',
        onEnter: () => inside.push(name),
        onOverdue: () => turnedOut.push(name),
      }),
    );
  }
}

const leave = (name: string): void => visits.get(name)?.leave();

describe('a gate', () => {
  it('lets in as many as there is room for, the others in order as room becomes free', () => {
    come(gateFor(2), 'a/1', 'a/2', 'a/3', 'a/4');
    expect(inside).toEqual(['a/1', 'a/2']);
    leave('a/2');
    expect(inside).toEqual(['a/1', 'a/2', 'a/3']);
    // Who leaves twice makes room once.
    leave('a/2');
    expect(inside).toEqual(['a/1', 'a/2', 'a/3']);
    leave('a/1');
    expect(inside).toEqual(['a/1', 'a/2', 'a/3', 'a/4']);
  });

  it('forgets who gives up waiting', () => {
    come(gateFor(1), 'a/1', 'a/gone', 'a/patient');
    leave('a/gone');
    leave('a/1');
    expect(inside).toEqual(['a/1', 'a/patient']);
  });

  it('lets the one in next of whose source fewest are inside, however many of another came before', () => {
    come(gateFor(2), 'many/1', 'many/2', 'many/3', 'many/4', 'one/1', 'two/1');
    leave('many/1');
    leave('one/1');
    leave('many/2');
    expect(inside.slice(2)).toEqual(['one/1', 'two/1', 'many/3']);
  });
});

describe('a gate with room for one', () => {
  it('lets sources in by turns', () => {
    come(gateFor(1), 'bad/1', 'bad/2', 'bad/3', 'api/1', 'bad/4', 'api/2', 'new/1');
    for (const next of ['bad/1', 'api/1', 'new/1', 'bad/2', 'api/2', 'bad/3']) leave(next);
    expect(inside).toEqual(['bad/1', 'api/1', 'new/1', 'bad/2', 'api/2', 'bad/3', 'bad/4']);
  });
});

describe('while others wait', () => {
  it('who is idle is turned out, once', async () => {
    const gate = gateFor(1);
    come(gate, 'a/idle', 'b/1');
    await vi.advanceTimersByTimeAsync(idleMs - 20);
    expect(turnedOut).toEqual([]);
    await vi.advanceTimersByTimeAsync(40);
    expect(turnedOut).toEqual(['a/idle']);
    expect(inside).toEqual(['a/idle', 'b/1']);
    // It has nothing to give back.
    come(gate, 'c/1');
    leave('a/idle');
    expect(inside).toEqual(['a/idle', 'b/1']);
  });

  it('who makes progress stays, but for so long only', async () => {
    come(gateFor(1), 'a/slow', 'b/1');
    for (let ms = 0; ms < longestMs - 100; ms += 100) {
      await vi.advanceTimersByTimeAsync(100);
      visits.get('a/slow')?.progress();
    }
    expect(turnedOut).toEqual([]);
    await vi.advanceTimersByTimeAsync(140);
    expect(turnedOut).toEqual(['a/slow']);
    expect(inside).toEqual(['a/slow', 'b/1']);
  });

  it('of its own source only, it may stay three times as long', async () => {
    come(gateFor(1), 'a/slow', 'a/1');
    const ticks = async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += 100) {
        await vi.advanceTimersByTimeAsync(101);
        visits.get('a/slow')?.progress();
      }
    };
    await ticks(3 * longestMs - 200);
    expect(turnedOut).toEqual([]);
    await ticks(300);
    expect(turnedOut).toEqual(['a/slow']);
  });

  it('the time in which this process was busy is not counted against those inside', async () => {
    vi.useRealTimers();
    come(gateFor(1), 'a/1', 'b/1');
    const end = performance.now() + 2 * idleMs;
    while (performance.now() < end);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(turnedOut).toEqual([]);
    visits.get('b/1')?.leave();
  });

  it('what has come by the time it is looked counts', async () => {
    come(gateFor(1), 'a/1', 'b/1');
    // As a socket is read: after the timers of a turn.
    setTimeout(() => setImmediate(() => visits.get('a/1')?.progress()), idleMs - 20);
    await vi.advanceTimersByTimeAsync(idleMs + 20);
    expect(turnedOut).toEqual([]);
    await vi.advanceTimersByTimeAsync(idleMs + 20);
    expect(turnedOut).toEqual(['a/1']);
  });

  it('one after the other is turned out who does nothing', async () => {
    come(gateFor(2), 'a/1', 'a/2', 'a/3', 'a/4', 'b/1');
    await vi.advanceTimersByTimeAsync(idleMs + 20);
    expect(turnedOut).toEqual(['a/1', 'a/2']);
    expect(inside.slice(2)).toEqual(['b/1', 'a/3']);
  });
});

it('where nobody waits, nobody is turned out, and only then time begins to count', async () => {
  const gate = gateFor(1);
  come(gate, 'a/1');
  await vi.advanceTimersByTimeAsync(10 * longestMs);
  expect(turnedOut).toEqual([]);
  come(gate, 'b/1');
  await vi.advanceTimersByTimeAsync(idleMs - 20);
  expect(turnedOut).toEqual([]);
  await vi.advanceTimersByTimeAsync(40);
  expect(turnedOut).toEqual(['a/1']);
  expect(inside).toEqual(['a/1', 'b/1']);
});
