/**
 * IP addresses as text. Forms: RFC 4291, 2.2; canonical form: RFC 5952. As in Go's netip, an IPv4 part with a leading zero is refused,
 * since readers disagree on whether it is octal.
 */

/** The longest form: eight groups, the last two as IPv4. */
const maxLength = '0000:0000:0000:0000:0000:0000:255.255.255.255'.length;

const octet = /^(?:0|[1-9][0-9]{0,2})$/;
const group = /^[0-9a-f]{1,4}$/i;

/**
 * The canonical form of an IPv4 or IPv6 address; an IPv4-mapped IPv6 address becomes the IPv4 address, as Go's net.IP prints it.
 * Undefined for anything else: a host name, a zone (`fe80::1%eth0`), a port, a prefix length.
 */
export function parseIp(text: string): string | undefined {
  const groups = parseGroups(text);
  return groups === undefined ? undefined : format(groups);
}

/** True for 127.0.0.0/8 and ::1 (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3), also IPv4-mapped. False for what is no address. */
export function isLoopback(text: string): boolean {
  const groups = parseGroups(text);
  if (groups === undefined) return false;
  if (isMapped(groups)) return (groups[6] ?? 0) >> 8 === 127;
  return groups.every((value, index) => value === (index === 7 ? 1 : 0));
}

/** True for 169.254.0.0/16 (RFC 3927) and fe80::/10 (RFC 4291, 2.5.6), also IPv4-mapped. False for what is no address. */
export function isLinkLocal(text: string): boolean {
  const groups = parseGroups(text);
  if (groups === undefined) return false;
  return isMapped(groups) ? groups[6] === 0xa9fe : ((groups[0] ?? 0) & 0xffc0) === 0xfe80;
}

/** Eight groups of 16 bits. IPv4 is held as IPv4-mapped, ::ffff:0:0/96. */
function parseGroups(text: string): readonly number[] | undefined {
  if (text.length > maxLength) return undefined;
  const colon = text.lastIndexOf(':');
  if (colon === -1) {
    const v4 = parseV4(text);
    return v4 === undefined ? undefined : [0, 0, 0, 0, 0, 0xffff, ...v4];
  }
  if (!text.includes('.')) return parseV6(text);
  const v4 = parseV4(text.slice(colon + 1));
  if (v4 === undefined) return undefined;
  return parseV6(`${text.slice(0, colon + 1)}${v4.map((value) => value.toString(16)).join(':')}`);
}

/** Two groups of 16 bits. */
function parseV4(text: string): readonly number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => octet.test(part))) return undefined;
  const [a = 256, b = 256, c = 256, d = 256] = parts.map(Number);
  return Math.max(a, b, c, d) > 255 ? undefined : [a * 256 + b, c * 256 + d];
}

/** Hexadecimal groups, with one `::` at most, which stands for one or more groups of zero. */
function parseV6(text: string): readonly number[] | undefined {
  const halves = text.split('::').map((half) => (half === '' ? [] : half.split(':')));
  const [head = [], tail = []] = halves;
  if (halves.length > 2 || ![...head, ...tail].every((part) => group.test(part))) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  return [...head, ...Array<string>(missing).fill('0'), ...tail].map((part) => Number.parseInt(part, 16));
}

function isMapped(groups: readonly number[]): boolean {
  return groups[5] === 0xffff && groups.slice(0, 5).every((value) => value === 0);
}

/** RFC 5952, 4: lower case, no leading zeros, the first longest run of two or more zero groups as `::`. */
function format(groups: readonly number[]): string {
  if (isMapped(groups))
    return groups
      .slice(6)
      .map((value) => `${value >> 8}.${value & 255}`)
      .join('.');
  let start = 0;
  let length = 0;
  for (let from = 0; from < groups.length; from += 1) {
    let to = from;
    while (groups[to] === 0) to += 1;
    if (to - from > length) {
      start = from;
      length = to - from;
    }
  }
  const text = groups.map((value) => value.toString(16));
  if (length < 2) return text.join(':');
  return `${text.slice(0, start).join(':')}::${text.slice(start + length).join(':')}`;
}
