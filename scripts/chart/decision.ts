/*
 * What depends on yes-or-no questions, as Go templates. The builders of src/manifests are run for every answer, and the templates choose among
 * what they returned: nothing of them is written a second time.
 */

/** Answers by question. */
export type Answers = Readonly<Record<string, boolean>>;

/** Every combination of answers. */
export function everyAnswer(questions: readonly string[]): readonly Answers[] {
  return questions.reduce<readonly Answers[]>(
    (all, question) => all.flatMap((answers) => [false, true].map((answer) => ({ ...answers, [question]: answer }))),
    [{}],
  );
}

/** A boolean function that is not known everywhere: undefined = it does not matter. */
type Partly = ReadonlyMap<string, boolean>;

/** A Go template expression that is true for exactly these answers; `true` or `false` where none matters. */
export function expressionOf(
  questions: readonly string[],
  answers: readonly Answers[],
  holds: (answers: Answers) => boolean | undefined,
): string {
  const known = new Map<string, boolean>();
  for (const each of answers) {
    const value = holds(each);
    if (value !== undefined) known.set(keyOf(questions, each), value);
  }
  return expand(questions, known);
}

const keyOf = (questions: readonly string[], answers: Answers): string =>
  questions.map((question) => (answers[question] ? '1' : '0')).join('');

/** Shannon's expansion by the first question that makes a difference. */
function expand(questions: readonly string[], known: Partly): string {
  const values = new Set(known.values());
  if (values.size === 0) return 'true';
  if (values.size === 1) return String([...values][0]);
  const [question = '', ...rest] = questions;
  const half = (bit: string): Partly =>
    new Map([...known].flatMap(([key, value]) => (key[0] === bit ? [[key.slice(1), value] as const] : [])));
  const no = half('0');
  const yes = half('1');
  // Where both halves agree as far as both are known, the question does not matter.
  if ([...no].every(([key, value]) => (yes.get(key) ?? value) === value)) return expand(rest, new Map([...no, ...yes]));
  return choose(`$is.${question}`, expand(rest, yes), expand(rest, no));
}

function choose(question: string, yes: string, no: string): string {
  if (yes === 'true' && no === 'false') return question;
  if (yes === 'false' && no === 'true') return `(not ${question})`;
  if (yes === 'true') return `(or ${question} ${no})`;
  if (no === 'false') return `(and ${question} ${yes})`;
  if (yes === 'false') return `(and (not ${question}) ${no})`;
  return no === 'true' ? `(or (not ${question}) ${yes})` : `(ternary ${yes} ${no} ${question})`;
}

/** True where any of the conditions is. */
export function any(conditions: readonly string[]): string {
  return conditions.includes('true') ? 'true' : `(or ${[...new Set(conditions)].join(' ')})`;
}

/** Text under a condition; a condition that always or never holds is none. */
export function when(condition: string, text: string): string {
  if (condition === 'true') return text;
  return condition === 'false' ? '' : `{{- if ${bare(condition)} }}\n${text}{{- end }}\n`;
}

const bare = (condition: string): string => condition.replace(/^\((.*)\)$/, '$1');

/**
 * The one of several texts that the answers ask for.
 * @param textOf empty = none.
 */
export function choice(
  questions: readonly string[],
  answers: readonly Answers[],
  textOf: (answers: Answers) => string,
): string {
  const chosen = new Map(answers.map((each) => [each, textOf(each)]));
  // None, where that may be, is what is left.
  const texts = [...new Set(chosen.values())].sort((a, b) => Number(a === '') - Number(b === ''));
  const last = texts.at(-1) ?? '';
  if (texts.length <= 1) return last;
  const branches = texts.slice(0, -1).map((text) => {
    const condition = expressionOf(questions, answers, (each) => chosen.get(each) === text);
    return `${bare(condition)} }}\n${text}`;
  });
  return `{{- if ${branches.join('{{- else if ')}${last === '' ? '' : `{{- else }}\n${last}`}{{- end }}\n`;
}
