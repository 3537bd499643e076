/** Labels or annotations of an object. Read them with `label`: a hostile key such as `constructor` must not reach Object's own. */
export type Labels = Readonly<Record<string, string>>;

/** The value of a label, undefined where the object does not bear it. */
export function label(labels: Labels, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}
