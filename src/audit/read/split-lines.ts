/** A line of a file, as it lies there. */
export interface RawLine {
  /** Without the line break. A view: good until the next chunk. */
  readonly bytes: Uint8Array;
  /** From 1. */
  readonly number: number;
  /** Of its first byte, from 0; in the uncompressed text. */
  readonly offset: number;
  /** The last line of a file that does not end in a line break. */
  readonly torn: boolean;
}

export interface LineSplitter {
  push(chunk: Buffer): readonly RawLine[];
  /** The rest, if the text did not end in a line break. */
  end(): readonly RawLine[];
}

/** No line that is written comes near; a file of another kind must not fill the memory. */
const maxLineBytes = 16 * 1024 * 1024;

/** A file that is no log. */
export class LineTooLongError extends Error {
  override readonly name = 'LineTooLongError';
}

/** Splits a stream of chunks into lines. @throws LineTooLongError from `push`. */
export function createLineSplitter(): LineSplitter {
  let rest: Buffer = Buffer.alloc(0);
  let number = 0;
  let offset = 0;
  const take = (bytes: Uint8Array, torn: boolean): RawLine => {
    number += 1;
    const line = { bytes, number, offset, torn };
    offset += bytes.length + 1;
    return line;
  };
  return {
    push(chunk) {
      const text = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const lines: RawLine[] = [];
      let from = 0;
      // The rest of the chunk before holds no line break.
      for (let at = text.indexOf(10, rest.length); at !== -1; at = text.indexOf(10, from)) {
        lines.push(take(text.subarray(from, at), false));
        from = at + 1;
      }
      rest = text.subarray(from);
      if (rest.length > maxLineBytes) {
        throw new LineTooLongError(
          `line ${number + 1} is longer than ${maxLineBytes / 1024 / 1024} MiB: this is no audit log`,
        );
      }
      return lines;
    },
    end: () => (rest.length === 0 ? [] : [take(rest, true)]),
  };
}
