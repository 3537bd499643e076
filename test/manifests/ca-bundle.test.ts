import { expect, it } from 'vitest';
import { bundleProblem, certificateBlocks } from '../../src/manifests/ca-bundle.ts';
import { selfSigned } from '../server/support.ts';

/* Whoever may write a caBundle may write anything there, up to what the API server stores. */

const begin = '-----BEGIN CERTIFICATE-----\n';

it('a bundle is read in one pass: certificates that begin and never end cost no more than their text', () => {
  const { caPem, certPem } = selfSigned();
  const hostile = `${caPem}${begin.repeat(60_000)}`;
  expect(certificateBlocks(hostile)).toEqual([caPem.trim()]);
  expect(bundleProblem(Buffer.from(hostile).toString('base64'), certPem)).toBe('');
});

it('each certificate of a bundle is read as it stands, and what stands between them is left out', () => {
  const [one, other] = [selfSigned().caPem.trim(), selfSigned().caPem.trim()];
  expect(certificateBlocks(`# of one\n${one}\n\n# of the other\n${other}\n${begin}`)).toEqual([one, other]);
  expect(certificateBlocks('')).toEqual([]);
});
