import { describe, expect, it } from 'vitest';
import { createLineQueue, type LineQueueOptions, type WrittenLines } from '../../src/audit/sinks/queue.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A queue to an output that answers when it is told to. */
function queueTo(over: Partial<LineQueueOptions> = {}) {
  const chunks: string[] = [];
  const answers: ((result: WrittenLines) => void)[] = [];
  const lost: [number, string][] = [];
  let working = 0;
  const queue = createLineQueue({
    name: 'file',
    output: {
      write: (text) => {
        chunks.push(text);
        return new Promise((resolve) => answers.push(resolve));
      },
      close: () => Promise.resolve(),
    },
    maxPending: 1_000_000,
    lingerMs: 0,
    onLost: (lines, why) => void lost.push([lines, why]),
    onWorking: () => {
      working += 1;
    },
    ...over,
  });
  const take = (...sequences: readonly number[]): void => {
    for (const sequence of sequences)
      queue.take({ text: `${sequence}\n`, sequence, time: `t${sequence}`, previous: `h${sequence - 1}` });
  };
  const answer = async (result: WrittenLines = {}): Promise<void> => {
    answers.shift()?.(result);
    await turn();
    await turn();
  };
  return { queue, chunks, lost, take, answer, working: () => working };
}

describe('the queue to a sink', () => {
  it('has one write under way at a time, which takes all that has gathered', async () => {
    const { queue, chunks, take, answer } = queueTo();
    take(1);
    await turn();
    take(2, 3, 4);
    await turn();
    expect(chunks).toEqual(['1\n']);
    await answer();
    expect(chunks).toEqual(['1\n', '2\n3\n4\n']);
    await answer();
    await queue.close();
  });

  it('says of each line when it is there, or why not', async () => {
    const { queue, take, answer } = queueTo();
    take(1);
    const first = queue.settled();
    await turn();
    take(2);
    const second = queue.settled();
    await answer();
    expect(await first).toBeUndefined();
    await answer({ lines: 0, error: 'no space left on device' });
    expect(await second).toBe('no space left on device');
    expect(queue.failing()).toBe(true);
  });

  it('remembers which lines are lost, until that is told and the telling is written', async () => {
    const { queue, lost, take, answer, working } = queueTo();
    take(1, 2, 3);
    await turn();
    await answer({ lines: 1, error: 'EIO' });
    take(4);
    await turn();
    await answer({ lines: 0, error: 'EIO' });
    expect(lost).toEqual([
      [2, 'EIO'],
      [1, 'EIO'],
    ]);
    expect(queue.untold()).toEqual([
      { lost: 3, firstSequence: 2, lastSequence: 4, before: 'h1', from: 't2', to: 't4', why: 'EIO', toldAt: undefined },
    ]);
    expect(working()).toBe(0);
    take(5);
    await turn();
    await answer();
    expect(working()).toBe(1);
    const [gap] = queue.untold();
    if (gap !== undefined) gap.toldAt = 6;
    // The line that tells is lost itself.
    take(6);
    await turn();
    await answer({ lines: 0, error: 'EIO' });
    expect(queue.untold().map(({ firstSequence, lastSequence }) => [firstSequence, lastSequence])).toEqual([
      [2, 4],
      [6, 6],
    ]);
    for (const [i, untold] of queue.untold().entries()) untold.toldAt = 7 + i;
    take(7, 8);
    await turn();
    await answer();
    expect(queue.untold()).toEqual([]);
    expect(queue.failing()).toBe(false);
  });

  it('never holds more than its bound for a write that does not end; what is beyond is one gap', async () => {
    const { queue, lost, take, answer } = queueTo({ maxPending: 20 });
    take(1);
    await turn();
    take(...Array.from({ length: 100 }, (_, i) => i + 10));
    expect(lost).toHaveLength(94);
    expect(await queue.settled()).toContain('too slow');
    await answer();
    await answer();
    expect(queue.untold()).toMatchObject([{ lost: 94, firstSequence: 16, lastSequence: 109 }]);
    take(200);
    await turn();
    await answer();
    expect(lost).toHaveLength(94);
  });

  it('bounds what it remembers of a disk that comes and goes', async () => {
    const { queue, take, answer } = queueTo();
    for (let i = 1; i < 100; i += 2) {
      take(i);
      await turn();
      await answer({ lines: 0, error: 'EIO' });
      take(i + 1);
      await turn();
      await answer();
    }
    expect(queue.untold().length).toBeLessThan(20);
    expect(queue.untold().reduce((sum, { lost }) => sum + lost, 0)).toBe(50);
    expect(queue.untold().at(-1)).toMatchObject({ lastSequence: 99 });
  });

  it('that is given up has lost what waits and what is under way, once, and takes no more', async () => {
    const { queue, chunks, lost, take, answer } = queueTo();
    take(1, 2);
    await turn();
    take(3);
    const settled = queue.settled();
    const closed = queue.close();
    queue.abandon('no time left');
    await closed;
    expect(await settled).toBe('no time left');
    expect(lost).toEqual([[3, 'no time left']]);
    // The write ends after all.
    await answer();
    take(4);
    await turn();
    expect([chunks, lost.at(-1)]).toEqual([['1\n2\n'], [1, 'the sink is closed']]);
  });

  it('loses what comes after close, and says so', async () => {
    const { queue, lost, take } = queueTo();
    await queue.close();
    take(1);
    expect(lost).toEqual([[1, 'the sink is closed']]);
  });
});
