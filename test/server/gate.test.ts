import { describe, expect, it } from 'vitest';
import { createGate } from '../../src/server/gate.ts';

describe('a gate', () => {
  it('lets in as many as there is room for, the others in order as room becomes free', () => {
    const gate = createGate(2);
    const inside: string[] = [];
    const leave = new Map<string, () => void>();
    for (const name of ['a', 'b', 'c', 'd']) {
      gate.enter((go) => {
        inside.push(name);
        leave.set(name, go);
      });
    }
    expect(inside).toEqual(['a', 'b']);
    leave.get('b')?.();
    expect(inside).toEqual(['a', 'b', 'c']);
    // Who leaves twice makes room once.
    leave.get('b')?.();
    expect(inside).toEqual(['a', 'b', 'c']);
    leave.get('a')?.();
    expect(inside).toEqual(['a', 'b', 'c', 'd']);
  });

  it('forgets who gives up waiting', () => {
    const gate = createGate(1);
    const inside: string[] = [];
    let leave = (): void => undefined;
    gate.enter((go) => {
      leave = go;
    });
    const giveUp = gate.enter(() => void inside.push('gone'));
    gate.enter(() => void inside.push('patient'));
    giveUp();
    leave();
    expect(inside).toEqual(['patient']);
  });
});
