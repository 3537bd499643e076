/**
 * Names of objects and labels. Source: kubernetes.io/docs/concepts/overview/working-with-objects/names and /labels, and
 * k8s.io/apimachinery/pkg/api/validate/content (dns.go, kube.go). All of them are ASCII, so length is the same in bytes.
 */

const maxLabelLength = 63;
const maxSubdomainLength = 253;

const dnsLabel = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/;
const dnsSubdomain = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const word = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$/;

/** An RFC 1123 label, such as a namespace: up to 63 of `a-z`, `0-9` and `-`, neither first nor last a dash. */
export function isDns1123Label(text: string): boolean {
  return text.length <= maxLabelLength && dnsLabel.test(text);
}

/** An RFC 1123 subdomain, such as a node's name: labels with dots between them, up to 253. Kubernetes does not limit each label to 63. */
export function isDns1123Subdomain(text: string): boolean {
  return text.length <= maxSubdomainLength && dnsSubdomain.test(text);
}

/** A label, annotation or taint key: a name of 1 to 63 characters, optionally after a subdomain and a slash. */
export function isQualifiedName(text: string): boolean {
  const slash = text.indexOf('/');
  if (slash === -1) return isWord(text);
  return isDns1123Subdomain(text.slice(0, slash)) && isWord(text.slice(slash + 1));
}

/** A label or taint value: empty, or up to 63 characters that begin and end with a letter or digit. */
export function isLabelValue(text: string): boolean {
  return text === '' || isWord(text);
}

function isWord(text: string): boolean {
  return text.length <= maxLabelLength && word.test(text);
}
