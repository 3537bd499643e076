import { connect, createServer, type Socket } from 'node:net';

/** What happens to the bytes that go through. */
export type Weather =
  | 'clear'
  /** Connections are dropped, and new ones refused. */
  | 'cut'
  /** Connections stay and nothing passes, as when a firewall forgets them. */
  | 'silent'
  /** What the server says comes in pieces of 100 bytes, 20 times a second. */
  | 'slow';

export interface TcpProxy {
  readonly port: number;
  set(weather: Weather): void;
  close(): Promise<void>;
}

const pieceBytes = 100;
const pieceMs = 50;

/** A TCP proxy on loopback to a port of loopback, which can be told to misbehave. TLS goes through untouched. */
export async function startProxy(targetPort: number): Promise<TcpProxy> {
  let weather: Weather = 'clear';
  const sockets = new Set<Socket>();
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    if (weather === 'cut') {
      client.destroy();
      return;
    }
    const upstream = connect(targetPort, '127.0.0.1');
    for (const socket of [client, upstream]) track(socket);
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
    const waiting: [Socket, Buffer][] = [];
    const pass = (to: Socket, chunk: Buffer): void => {
      if (weather === 'silent' || (weather === 'slow' && to === client) || waiting.length > 0)
        waiting.push([to, chunk]);
      else to.write(chunk);
    };
    client.on('data', (chunk: Buffer) => pass(upstream, chunk));
    upstream.on('data', (chunk: Buffer) => pass(client, chunk));
    const clock = setInterval(() => {
      while (waiting.length > 0 && weather !== 'silent') {
        const [to, chunk] = waiting.shift() ?? [client, Buffer.alloc(0)];
        const slow = weather === 'slow' && to === client;
        to.write(slow ? chunk.subarray(0, pieceBytes) : chunk);
        if (slow && chunk.length > pieceBytes) waiting.unshift([to, chunk.subarray(pieceBytes)]);
        if (slow) break;
      }
    }, pieceMs);
    client.on('close', () => clearInterval(clock));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    set(next) {
      weather = next;
      if (next === 'cut') for (const socket of sockets) socket.destroy();
    },
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
