import type { Server } from 'node:https';
import type { Socket } from 'node:net';

/** The first byte of a TLS record that opens a handshake (RFC 8446, 5.1). */
const tlsHandshake = 0x16;

const plainHttpAnswer =
  'HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis port speaks HTTPS: use https:// (health and metrics are on a plain port of their own).\n';

export interface PlainHttpGuardOptions {
  /** How long a connection may stay silent before its first byte, in milliseconds. */
  readonly firstByteTimeoutMs: number;
  readonly onPlainHttp: () => void;
}

/**
 * Answers clients that speak plain HTTP to the TLS port, as they would otherwise see a reset without a word. The first bytes of each
 * connection are looked at before TLS gets the socket; they are put back, and TLS reads what a socket has buffered.
 */
export function guardPlainHttp(server: Server, { firstByteTimeoutMs, onPlainHttp }: PlainHttpGuardOptions): void {
  const startTls = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    socket.setTimeout(firstByteTimeoutMs, () => socket.destroy());
    // A client that resets before its first byte is no news.
    socket.on('error', () => socket.destroy());
    socket.once('data', (first: Buffer) => {
      socket.setTimeout(0);
      socket.removeAllListeners('timeout');
      if (first[0] !== tlsHandshake) {
        onPlainHttp();
        socket.end(plainHttpAnswer);
        return;
      }
      socket.pause();
      socket.unshift(first);
      socket.removeAllListeners('error');
      for (const listener of startTls) listener.call(server, socket);
    });
  });
}
