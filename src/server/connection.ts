import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** The first byte of a TLS record that opens a handshake (RFC 8446, 5.1). */
const tlsHandshake = 0x16;

const plainHttpAnswer =
  'HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis port speaks HTTPS: use https:// (health and metrics are on a plain port of their own).\n';

export interface PlainHttpGuardOptions {
  /** How long a connection may stay silent before its first byte, in milliseconds. */
  readonly firstByteTimeoutMs: number;
  readonly onPlainHttp: () => void;
  /** How many connections one address may have: an API server has one for each review under way, some hundreds at most. */
  readonly maxPerAddress: number;
  /** Told of each one that is closed for it. */
  readonly onTooMany: () => void;
}

/** The connections of a server below HTTP: the ones that Node's own list does not know yet. */
export interface Connections {
  /** Closes silent connections now, and TLS sessions that come of unfinished handshakes when nothing was asked on them for `graceMs`. */
  closeUnused(graceMs: number): void;
  /** Cuts all, whatever they are doing. */
  destroyAll(): void;
}

/**
 * Answers clients that speak plain HTTP to the TLS port, as they would otherwise see a reset without a word. The first bytes of each
 * connection are looked at before TLS gets the socket; they are put back, and TLS reads what a socket has buffered.
 */
export function guardPlainHttp(server: Server, options: PlainHttpGuardOptions): Connections {
  const startTls = server.listeners('connection');
  const open = new Set<Socket>();
  const silent = new Set<Socket>();
  const counts = new Map<string, number>();
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    const count = counts.get(address) ?? 0;
    if (count >= options.maxPerAddress) {
      options.onTooMany();
      socket.destroy();
      return;
    }
    counts.set(address, count + 1);
    open.add(socket);
    silent.add(socket);
    socket.once('close', () => {
      open.delete(socket);
      silent.delete(socket);
      const left = (counts.get(address) ?? 1) - 1;
      if (left === 0) counts.delete(address);
      else counts.set(address, left);
    });
    waitForFirstByte(socket, options, () => {
      silent.delete(socket);
      for (const listener of startTls) listener.call(server, socket);
    });
  });
  return {
    closeUnused(graceMs) {
      for (const socket of silent) socket.destroy();
      server.on('secureConnection', (session: TLSSocket) => {
        const close = (): void => void (session.bytesRead === 0 && session.destroySoon());
        setTimeout(close, graceMs).unref();
      });
    },
    destroyAll() {
      for (const socket of open) socket.destroy();
    },
  };
}

/** Calls back with the socket as it came, its first bytes put back, if they open a TLS handshake; else ends it. */
function waitForFirstByte(
  socket: Socket,
  { firstByteTimeoutMs, onPlainHttp }: PlainHttpGuardOptions,
  onTls: () => void,
): void {
  const destroy = (): void => void socket.destroy();
  // Bounds the silence, and what a plain client may go on sending after its answer.
  const timer = setTimeout(destroy, firstByteTimeoutMs);
  const stopTimer = (): void => clearTimeout(timer);
  socket.on('error', destroy);
  // A probe that only connects, or a plain client that has its answer.
  socket.on('end', destroy);
  socket.once('close', stopTimer);
  socket.once('data', (first: Buffer) => {
    if (first[0] !== tlsHandshake) {
      onPlainHttp();
      // Not closed at once: that would reset the connection under bytes not yet read, and the answer would be lost.
      socket.end(plainHttpAnswer);
      return;
    }
    stopTimer();
    socket.removeListener('error', destroy);
    socket.removeListener('end', destroy);
    socket.removeListener('close', stopTimer);
    socket.pause();
    socket.unshift(first);
    onTls();
  });
}
