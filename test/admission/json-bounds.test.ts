import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { beforeObject, excessOf, maxDepth, maxValues } from '../../src/admission/json-bounds.ts';
import { parseReview } from '../../src/admission/review.ts';

/** Makes a document large enough to be looked at, by a string that counts as one value more. */
const padding = `"${'x'.repeat(2 * maxValues)}"`;
const excess = (json: string): string | undefined => excessOf(Buffer.from(json));
const lists = (count: number): string => `[${'[],'.repeat(count - 1)}[]]`;

describe('the values of a review are counted before it is parsed', () => {
  it.each([
    ['lists', (count: number) => `[${padding},${lists(count - 3)}]`],
    ['objects', (count: number) => `[${padding}${',{}'.repeat(count - 2)}]`],
    ['numbers', (count: number) => `[${padding}${',1'.repeat(count - 2)}]`],
    ['members', (count: number) => `{"p":${padding}${',"":0'.repeat(count - 2)}}`],
    [
      'strings with quotes, commas and brackets',
      (count: number) => `[${padding}${String.raw`,"\"[,\\"`.repeat(count - 2)}]`,
    ],
    ['objects over many lines', (count: number) => `[\n${padding}${',\n{ \t\r\n }'.repeat(count - 2)}\n]`],
  ])('%s: as many as may be, and one more', (_, of) => {
    expect(excess(of(maxValues))).toBeUndefined();
    expect(excess(of(maxValues + 1))).toBe('holds more than 524288 values');
  });

  it.each([
    ['lists', '[', ']'],
    ['objects', '{"a":', '}'],
  ])('%s nested as deep as may be, and one deeper', (_, open, close) => {
    const of = (depth: number): string => `[${padding},${open.repeat(depth - 1)}1${close.repeat(depth - 1)}]`;
    expect(excess(of(maxDepth))).toBeUndefined();
    expect(excess(of(maxDepth + 1))).toBe('nests deeper than 128');
  });

  it('a string that never ends is none of its business', () => {
    expect(excess(`[${padding},"${String.raw`\"`.repeat(1000)}`)).toBeUndefined();
  });

  it('a body that is refused for it is a malformed one', () => {
    expect(() => parseReview(Buffer.from(lists(maxValues + 1)))).toThrow('holds more than 524288 values');
  });

  it('counts as a parser does, whatever the document', () => {
    const count = (value: unknown): number =>
      typeof value === 'object' && value !== null
        ? Object.values(value).reduce((sum: number, each) => sum + count(each), 1)
        : 1;
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.boolean(), (value, pretty) => {
        const own = count(value);
        // The value, the padding, the list of both, and lists up to the bound.
        const json = (extra: number): string =>
          `[${padding},${pretty ? JSON.stringify(value, null, 2) : JSON.stringify(value)}${',0'.repeat(maxValues - own - 2 + extra)}]`;
        expect(excess(json(0))).toBeUndefined();
        expect(excess(json(1))).toContain('values');
      }),
      { numRuns: 30 },
    );
  });
});

describe('what stands before the object of a review', () => {
  const head = (json: string): string | undefined => {
    const found = beforeObject(Buffer.from(json));
    return found === undefined ? undefined : Buffer.from(found).toString();
  };

  it('ends at the key of a member of the request', () => {
    expect(head('{"request":{"uid":"u","object":{"a":1}}}')).toBe('{"request":{"uid":"u",');
    expect(head('{"request":{"object":{}}}')).toBe('{"request":{');
  });

  it('is found whatever a user is named, and whatever extra says', () => {
    const userInfo = { username: '","object":{', extra: { object: ['x'], 'a","object":': ['","object":{'] } };
    const json = JSON.stringify({ request: { uid: 'u', userInfo, object: { object: 1 } } });
    expect(head(json)).toBe(`{"request":{"uid":"u","userInfo":${JSON.stringify(userInfo)},`);
  });

  it('is nothing where there is no object, or it is not in these bytes', () => {
    for (const json of [
      '{"request":{"uid":"u"}}',
      '{"request":{"uid":"u","obj',
      '{"object":{}}',
      '[["object",1]]',
      '',
      '"',
    ])
      expect(head(json)).toBeUndefined();
  });
});
