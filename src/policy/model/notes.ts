/**
 * Signs notes, and knows its own. A note is signed together with namespace and name of its pod, so that one cannot be made up while nobody
 * keeps it (before the rule was enforced, while the webhook was away), nor copied to another pod.
 */
export interface NoteKeeper {
  /** @returns a text of letters and digits. */
  sign(text: string): string;
  verify(text: string, signature: string): boolean;
}

/** Without a key, as offline: writes notes that nobody believes. */
export const unsignedNotes: NoteKeeper = { sign: () => 'unsigned', verify: () => false };
