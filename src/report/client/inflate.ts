/** Text that was deflated (RFC 1951) and written in base64. */
export async function inflate(base64: string): Promise<string> {
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  const text = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Response(text).text();
}

/** Text of an element that the page was made with. */
export function textOfElement(id: string): string {
  return document.getElementById(id)?.textContent ?? '';
}
