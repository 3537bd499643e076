import { connect, createServer, type Server, type Socket } from 'node:net';

export interface Backend {
  readonly host: string;
  readonly port: number;
}

/** What kube-proxy does for one port of one Service. */
export interface ServiceProxy {
  /** Where new connections go, in turn; those that are there stay. With none, new ones are refused. */
  set(backends: readonly Backend[]): void;
  close(): void;
}

/** Listens at a Service's address. @throws Error where this user may not listen there. */
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
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, resolve);
  });
  return {
    set(next) {
      backends = next;
      // As kube-proxy refuses what has no endpoint: nothing listens there. Connections that are there go on.
      if (next.length === 0) server.close();
      else if (!server.listening) server.listen(port, address);
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
