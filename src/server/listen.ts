import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Log } from '../config/watch-files.ts';

/**
 * Listens on all addresses where no host is given: `::` takes IPv4 too, and is not there where IPv6 is switched off.
 * @returns the port, which the system chose if 0 was asked for.
 * @throws what listen(2) says, e.g. that the port is in use.
 */
export async function listen(server: Server, port: number, host: string | undefined, log: Log): Promise<number> {
  try {
    await listenOn(server, port, host ?? '::');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    if (host !== undefined || (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL')) throw error;
    log('warn', 'IPv6 is not available here; listening on IPv4 alone', { port, code });
    await listenOn(server, port, '0.0.0.0');
  }
  // Without a listener an accept(2) that fails, for want of file descriptors, would end the process.
  server.on('error', (error) => log('error', 'a connection could not be accepted', { error: error.message }));
  return portOf(server);
}

function listenOn(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}
