import { X509Certificate } from 'node:crypto';

/** What is wrong with a caBundle (base64 of PEM); empty where nothing is. @param served PEM of the chain that the server serves, if it is known. */
export function bundleProblem(bundle: string, served: string | undefined): string {
  if (bundle === '') return 'is empty: the API server trusts no certificate of the webhook';
  const authorities = certificatesOf(Buffer.from(bundle, 'base64').toString('latin1'));
  if (authorities.length === 0) return 'holds no certificate: the API server trusts none of the webhook';
  if (served === undefined) return '';
  const trusted = certificatesOf(served).some((certificate) =>
    authorities.some(
      (authority) => certificate.fingerprint256 === authority.fingerprint256 || isIssuedBy(certificate, authority),
    ),
  );
  return trusted ? '' : 'holds none of the authorities that issued the certificate which this server serves';
}

/** Whether the authority's key signed it. */
export function isIssuedBy(certificate: X509Certificate, authority: X509Certificate): boolean {
  return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}

/** The certificates of a PEM text; those that cannot be read are left out. */
export function certificatesOf(pem: string): readonly X509Certificate[] {
  return certificateBlocks(pem).flatMap((block) => {
    try {
      return [new X509Certificate(block)];
    } catch {
      return [];
    }
  });
}

const begin = '-----BEGIN CERTIFICATE-----';
const end = '-----END CERTIFICATE-----';

/** The PEM blocks of certificates in a text, as they stand there. Linear in the text, whoever wrote it. */
export function certificateBlocks(pem: string): readonly string[] {
  const blocks: string[] = [];
  for (let from = pem.indexOf(begin); from !== -1; ) {
    const to = pem.indexOf(end, from);
    if (to === -1) break;
    blocks.push(pem.slice(from, to + end.length));
    from = pem.indexOf(begin, to + end.length);
  }
  return blocks;
}
