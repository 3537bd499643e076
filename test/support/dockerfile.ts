import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One instruction of the Dockerfile, its lines joined. */
export interface Instruction {
  readonly keyword: string;
  readonly text: string;
}

/** What begins with a FROM; what stands before the first has no image. */
export interface Stage {
  /** As written: `${BUILD_IMAGE}`, `scratch`. */
  readonly image: string;
  readonly name: string | undefined;
  readonly platform: string | undefined;
  readonly instructions: readonly Instruction[];
}

export interface Dockerfile {
  /** The ARGs before the first stage, with their defaults. */
  readonly args: Readonly<Record<string, string>>;
  readonly stages: readonly Stage[];
}

/** The project's Dockerfile, read. */
export function readDockerfile(): Dockerfile {
  const text = readFileSync(join(import.meta.dirname, '..', '..', 'Dockerfile'), 'utf8');
  const instructions = text
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Instruction => {
      const [keyword = '', ...rest] = line.split(' ');
      return { keyword, text: rest.join(' ') };
    });
  const starts = instructions.flatMap(({ keyword }, index) => (keyword === 'FROM' ? [index] : []));
  return {
    args: Object.fromEntries(instructions.slice(0, starts[0]).map(({ text: arg }) => arg.split('=', 2))),
    stages: starts.map((start, index) => {
      const from = /^(?:--platform=(\S+) )?(\S+)(?: AS (\S+))?$/.exec(instructions[start]?.text ?? '');
      return {
        image: from?.[2] ?? '',
        name: from?.[3],
        platform: from?.[1],
        instructions: instructions.slice(start + 1, starts[index + 1]),
      };
    }),
  };
}

/** Texts of one kind of instruction. */
export const textsOf = ({ instructions }: Stage, keyword: string): readonly string[] =>
  instructions.filter((one) => one.keyword === keyword).map(({ text }) => text);

/** The stage that becomes the image. @throws Error if the file has none. */
export function finalStage({ stages }: Dockerfile): Stage {
  const last = stages.at(-1);
  if (last === undefined) throw new Error('the Dockerfile has no stage');
  return last;
}
