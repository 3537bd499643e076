import { connect, createServer, type Server, type Socket } from 'node:net';

export interface Backend {
  readonly host: string;
  readonly port: number;
}

/** What kube-proxy does for one port of one Service. */
export interface ServiceProxy {
  /** Where new connections go, in turn; those that are there stay. With none nothing listens, so that new ones are refused. */
  set(backends: readonly Backend[]): Promise<void>;
  close(): void;
}

/** Listens at a Service's address, once it has been given backends. @throws Error where this user may not listen there. */
export async function startServiceProxy(address: string, port: number): Promise<ServiceProxy> {
  let backends: readonly Backend[] = [];
  let turn = 0;
  const sockets = new Set<Socket>();
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };
  const server: Server = createServer({ allowHalfOpen: true }, (client) => {
    track(client);
    const backend = backends[turn++ % Math.max(backends.length, 1)];
    // Came in the moment in which the last one went.
    if (backend === undefined) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect({ host: backend.host, port: backend.port, allowHalfOpen: true });
    track(upstream);
    // As packets are passed on: a refusal stays one, and an end of one side is an end of that side.
    upstream.on('error', () => client.resetAndDestroy());
    client.on('error', () => upstream.resetAndDestroy());
    client.pipe(upstream);
    upstream.pipe(client);
  });
  const listen = (): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, address, () => {
        server.off('error', reject);
        resolve();
      });
    });
  // Where this user may not listen, that shows before a backend comes.
  await listen();
  server.close();
  return {
    async set(next) {
      backends = next;
      if (next.length === 0) server.close();
      else if (!server.listening) await listen();
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
