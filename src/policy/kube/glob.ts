/** A glob over a short name: `*` stands for any run of characters, everything else for itself. */
export type Glob = (text: string) => boolean;

/** Compiles a glob once, so that matching on every pod costs comparisons only. Linear in the text: no backtracking over several stars. */
export function compileGlob(pattern: string): Glob {
  const parts = pattern.split('*');
  const first = parts[0] ?? '';
  const last = parts.at(-1) ?? '';
  if (parts.length === 1) return (text) => text === pattern;
  const middle = parts.slice(1, -1).filter((part) => part !== '');
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    const end = text.length - last.length;
    let at = first.length;
    for (const part of middle) {
      const found = text.indexOf(part, at);
      if (found === -1 || found + part.length > end) return false;
      at = found + part.length;
    }
    return true;
  };
}
