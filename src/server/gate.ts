/** Lets a number of visitors in at a time; the others wait in the order in which they came. */
export interface Gate {
  /**
   * Calls back when there is room, at once if there is some now, with a function that makes the room free again.
   * @returns a function that gives up waiting; after the callback it does nothing.
   */
  enter(visit: (leave: () => void) => void): () => void;
}

export function createGate(room: number): Gate {
  let inside = 0;
  const waiting = new Set<(leave: () => void) => void>();
  const next = (): void => {
    for (const visit of waiting) {
      if (inside >= room) return;
      waiting.delete(visit);
      inside += 1;
      let left = false;
      visit(() => {
        if (left) return;
        left = true;
        inside -= 1;
        next();
      });
    }
  };
  return {
    enter(visit) {
      waiting.add(visit);
      next();
      return () => void waiting.delete(visit);
    },
  };
}
