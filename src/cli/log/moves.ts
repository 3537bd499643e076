import { basename } from 'node:path';
import { type Entry, placeText, text } from '../../audit/read/entry.ts';
import { clip } from '../../policy/kube/text.ts';

/** What servers said of files that somebody else was at. */
export interface Moves {
  see(entry: Entry): void;
  /** Of a file in which a chain breaks; empty where none of them speaks of it. */
  hintsFor(file: string): readonly string[];
}

/** More tell nothing new. */
const maxMoves = 100;

export function createMoves(): Moves {
  const moves: { readonly place: string; readonly from: string; readonly to: string; readonly why: string }[] = [];
  return {
    see({ header, value, place }) {
      if (header?.kind !== 'FileRecord' || moves.length === maxMoves) return;
      const [from, to] = [basename(text(value, 'from')), basename(text(value, 'to'))];
      moves.push({ place: placeText(place), from, to, why: text(value, 'why') });
    },
    hintsFor(file) {
      const name = basename(file).replace(/\.gz$/, '');
      return moves
        .filter(({ from, to }) => from === name || to === name)
        .map(({ place, from, why }) =>
          clip(
            `${place} says that somebody else was at ${from} (${why}): two servers may have had that one file`,
            1_000,
          ),
        );
    },
  };
}
