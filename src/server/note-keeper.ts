import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { NoteKeeper } from '../policy/model/notes.ts';
import type { Certificates } from './certificates.ts';

/** Signed with a key of an age ago: pods that wait for so long are made again. */
const keptKeys = 3;

/** 128 bits, as hex. */
const signatureLength = 32;

/**
 * Signs notes with a key that follows from the serving certificate's private key: every replica has it, and nobody else. A certificate with
 * a new key makes a new one; those before it are believed until the replica ends.
 */
export function createNoteKeeper(certificates: Pick<Certificates, 'current' | 'onChange'>): NoteKeeper {
  let keys = [noteKey(certificates.current().key)];
  certificates.onChange(({ key }) => {
    const fresh = noteKey(key);
    if (keys[0]?.equals(fresh) !== true) keys = [fresh, ...keys].slice(0, keptKeys);
  });
  const signWith = (key: Buffer, text: string): string =>
    createHmac('sha256', key).update(text).digest('hex').slice(0, signatureLength);
  return {
    sign: (text) => signWith(keys[0] ?? Buffer.alloc(0), text),
    verify(text, signature) {
      const given = Buffer.from(signature);
      // Characters of more than one byte make a text of the right length too long.
      return (
        given.length === signatureLength && keys.some((key) => timingSafeEqual(Buffer.from(signWith(key, text)), given))
      );
    },
  };
}

/** Never the private key itself. */
function noteKey(privateKey: Buffer): Buffer {
  return createHash('sha256').update('osmo-admission/exempted\n').update(privateKey).digest();
}
