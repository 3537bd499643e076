import { type Entry, type Line, type Place, placeText } from './entry.ts';

/** What can be wrong with a chain. */
export type BreakKind =
  | 'changed'
  | 'removed'
  | 'inserted'
  | 'reordered'
  /** The file ends within a line. */
  | 'truncated'
  /** A boot that signs nothing, where a key is trusted. */
  | 'unsigned'
  | 'wrong signature'
  | 'unknown key';

/** The first thing that is wrong with a chain. */
export interface Break {
  readonly kind: BreakKind;
  readonly place: Place;
  /** Of the line in question, as far as it can be told; 0 where it cannot. */
  readonly sequence: number;
  readonly boot: string;
  readonly message: string;
}

export function breakAt(kind: BreakKind, entry: Entry, message: string): Break {
  const { place, header } = entry;
  return { kind, place, sequence: header?.sequence ?? 0, boot: header?.boot ?? '', message };
}

/** Lines that are not there. */
export interface Hole {
  readonly boot: string;
  readonly from: number;
  readonly to: number;
  /** The first line after it. */
  readonly at: Line;
  /** The last line before it; undefined where the log begins after it. */
  readonly after: Line | undefined;
}

export function holds({ boot, from, to }: Hole, line: Line): boolean {
  return line.header.boot === boot && line.header.sequence >= from && line.header.sequence <= to;
}

export function removedBreak(hole: Hole): Break {
  const { boot, from, to, at, after } = hole;
  const which = from === to ? `line ${from}` : `lines ${from} to ${to}`;
  const between =
    after === undefined || after.place.file === at.place.file
      ? ''
      : `, between ${placeText(after.place)} and ${placeText(at.place)}: is a rotated file missing?`;
  return {
    ...breakAt('removed', at, `${which} of this boot ${from === to ? 'is' : 'are'} not there${between}`),
    sequence: from,
    boot,
  };
}
