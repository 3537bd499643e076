import { UsageError } from '../io.ts';

/** The value of `--output`: one of the formats, the first by default. @throws UsageError */
export function readOutput<Format extends string>(
  given: string | undefined,
  formats: readonly [Format, ...Format[]],
): Format {
  const format = formats.find((known) => known === (given ?? formats[0]));
  if (format === undefined)
    throw new UsageError(`there is no output format ${JSON.stringify(given)}: use ${formats.join(', ')}`);
  return format;
}

/** 1,234,567. */
export function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** `1 line`, `2 lines`. */
export function plural(value: number, noun: string, many = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : many}`;
}
