/** One target of the browser: the browser itself, or a page. */
export interface Session {
  /** @throws Error with what the browser said. */
  send<T = unknown>(method: string, params?: object): Promise<T>;
  on(method: string, listen: (params: Readonly<Record<string, unknown>>) => void): void;
}

export interface Devtools {
  readonly root: Session;
  attach(targetId: string): Promise<Session>;
  close(): void;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
  readonly sessionId?: string;
}

export async function connect(url: string): Promise<Devtools> {
  const socket = new WebSocket(url);
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve());
    socket.addEventListener('error', () => reject(new Error(`no connection to ${url}`)));
  });
  const waiting = new Map<number, (message: Message) => void>();
  const listeners = new Map<string, ((params: Readonly<Record<string, unknown>>) => void)[]>();
  let last = 0;
  socket.addEventListener('message', ({ data }) => {
    const message: Message = JSON.parse(String(data));
    if (message.id !== undefined) waiting.get(message.id)?.(message);
    else
      for (const listen of listeners.get(`${message.sessionId ?? ''} ${message.method}`) ?? [])
        listen(message.params ?? {});
  });
  const session = (sessionId: string | undefined): Session => ({
    send<T>(method: string, params: object = {}): Promise<T> {
      last += 1;
      const id = last;
      return new Promise<T>((resolve, reject) => {
        waiting.set(id, ({ result, error }) => {
          waiting.delete(id);
          if (error === undefined) resolve(result as T);
          else reject(new Error(`${method}: ${error.message}`));
        });
        socket.send(JSON.stringify({ id, method, params, sessionId }));
      });
    },
    on(method, listen) {
      const key = `${sessionId ?? ''} ${method}`;
      listeners.set(key, [...(listeners.get(key) ?? []), listen]);
    },
  });
  const root = session(undefined);
  return {
    root,
    async attach(targetId) {
      const { sessionId } = await root.send<{ sessionId: string }>('Target.attachToTarget', {
        targetId,
        flatten: true,
      });
      return session(sessionId);
    },
    close: () => socket.close(),
  };
}
