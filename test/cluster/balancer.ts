import { connect, createServer, type Socket } from 'node:net';

/** Stands for the Service of several replicas: hands each connection to one of them, in turn, and its bytes on as they are. */
export interface Balancer {
  /** From now on new connections go to these ports; the others stay where they are. */
  route(ports: () => readonly number[]): void;
  /** Resolves as soon as an answer of that port has begun to come. */
  nextAnswer(port: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * Nothing is sent twice: a port that refuses a connection is passed over for the next one, as by a Service without that endpoint, before a
 * byte was sent; a connection that breaks later breaks for whoever called.
 */
export async function startBalancer(host: string, port: number): Promise<Balancer> {
  let ports: () => readonly number[] = () => [];
  let turn = 0;
  const waiting = new Map<number, (() => void)[]>();
  const sockets = new Set<Socket>();
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };

  const join = (client: Socket, server: Socket, to: number): void => {
    let asks = false;
    let questions = 0;
    client.on('data', (chunk: Buffer) => {
      if (!asks) questions += 1;
      asks = true;
      server.write(chunk);
    });
    server.on('data', (chunk: Buffer) => {
      client.write(chunk);
      // The first two answers of a connection are, or may be, those of the TLS handshake.
      if (asks && questions > 2) for (const tell of waiting.get(to)?.splice(0) ?? []) tell();
      asks = false;
    });
    client.on('close', () => server.destroy());
    server.on('close', () => client.destroy());
    client.resume();
  };

  /** To the next port that takes it. */
  const place = (client: Socket, candidates: readonly number[]): void => {
    const [to, ...others] = candidates;
    if (to === undefined) {
      client.destroy();
      return;
    }
    const server = connect(to, host);
    const refused = (): void => place(client, others);
    server.once('error', refused);
    server.once('connect', () => {
      server.off('error', refused);
      track(server);
      join(client, server, to);
    });
  };

  const listener = createServer({ pauseOnConnect: true }, (client) => {
    track(client);
    const all = ports();
    const first = turn++ % Math.max(1, all.length);
    place(client, [...all.slice(first), ...all.slice(0, first)]);
  });
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(port, host, resolve);
  });
  return {
    route(next) {
      ports = next;
    },
    nextAnswer: (of) =>
      new Promise((resolve) => {
        waiting.set(of, [...(waiting.get(of) ?? []), resolve]);
      }),
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        listener.close(() => resolve());
      }),
  };
}
