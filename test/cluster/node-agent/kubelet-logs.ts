import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createSelfSigned } from '../../../src/server/self-signed.ts';

/** The one part of a kubelet's own API that `kubectl logs` asks for, through the API server. */
export interface KubeletLogs {
  readonly port: number;
  close(): void;
}

/** @param fileOf path of what a pod's container wrote; undefined for a pod that is not played. */
export async function startKubeletLogs(fileOf: (pod: string) => string | undefined): Promise<KubeletLogs> {
  const now = Date.now();
  const { certPem, keyPem } = createSelfSigned({
    dnsNames: [],
    ipAddresses: ['127.0.0.1'],
    notBefore: new Date(now - 60_000),
    notAfter: new Date(now + 24 * 3_600_000),
  });
  const server = createServer({ cert: certPem, key: keyPem }, (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'https://kubelet');
    const [, kind, , pod = ''] = pathname.split('/');
    const file = kind === 'containerLogs' ? fileOf(pod) : undefined;
    const unknown = [...searchParams.keys()].filter((name) => name !== 'tailLines');
    if (file === undefined || unknown.length > 0) {
      response.writeHead(501).end(`not played here: ${pathname} ${unknown.join()}`);
      return;
    }
    if (!existsSync(file)) {
      response.writeHead(400).end(`container in pod ${pod} is waiting to start: ContainerCreating`);
      return;
    }
    const lines = readFileSync(file, 'utf8').split(/(?<=\n)/);
    const tail = searchParams.get('tailLines');
    response.end((tail === null ? lines : lines.slice(-Number(tail))).join(''));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
