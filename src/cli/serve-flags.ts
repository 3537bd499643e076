import { hostname } from 'node:os';
import type { AuditSettings } from '../audit/open.ts';
import { defaultNamespace, productName } from '../manifests/objects.ts';
import { parseGoDuration } from '../policy/kube/go-duration.ts';
import { auditFlags, readAuditFlags } from './audit-flags.ts';
import { type ClientSettings, clientFlags, readClientFlags } from './client-flags.ts';
import { describeFlags, type Flags, helpFlag, type ParsedFlags, parseFlags } from './flags.ts';
import { UsageError } from './io.ts';

const flags: Flags = {
  config: {
    type: 'string',
    value: 'FILE',
    help: 'The policy file; read again when it changes.',
    default: 'the built-in defaults',
    env: 'OSMO_ADMISSION_CONFIG',
  },
  'tls-cert-file': {
    type: 'string',
    value: 'FILE',
    help: 'PEM of the serving certificate, with intermediates; read again when it changes.',
    env: 'OSMO_ADMISSION_TLS_CERT_FILE',
  },
  'tls-private-key-file': {
    type: 'string',
    value: 'FILE',
    help: 'PEM of its private key.',
    env: 'OSMO_ADMISSION_TLS_PRIVATE_KEY_FILE',
  },
  'tls-self-signed': {
    type: 'boolean',
    help: 'Instead of the two files: make, keep and renew a CA and a certificate in Secrets of the namespace, and the CA in caBundle of the webhook configurations.',
    env: 'OSMO_ADMISSION_TLS_SELF_SIGNED',
  },
  ...clientFlags,
  kubeconfig: {
    type: 'string',
    value: 'FILE',
    help: 'Watch live nodes by this kubeconfig.',
    default: 'the pod’s service account',
    env: 'OSMO_ADMISSION_KUBECONFIG',
  },
  nodes: {
    type: 'string',
    value: 'FILE',
    help: 'Take live nodes from a file instead of a cluster; read once, and taken as complete.',
    env: 'OSMO_ADMISSION_NODES',
  },
  host: {
    type: 'string',
    value: 'ADDRESS',
    help: 'Address for admission.',
    default: 'all, IPv6 and IPv4',
    env: 'OSMO_ADMISSION_HOST',
  },
  port: {
    type: 'string',
    value: 'PORT',
    help: 'Port for admission (TLS): POST /mutate and /validate. 0 takes any free port.',
    default: '8443',
    env: 'OSMO_ADMISSION_PORT',
  },
  'health-host': {
    type: 'string',
    value: 'ADDRESS',
    help: 'Address for health and metrics.',
    default: 'as --host',
    env: 'OSMO_ADMISSION_HEALTH_HOST',
  },
  'health-port': {
    type: 'string',
    value: 'PORT',
    help: 'Port for GET /healthz, /readyz and /metrics (plain HTTP). 0 takes any free port.',
    default: '8080',
    env: 'OSMO_ADMISSION_HEALTH_PORT',
  },
  ...auditFlags,
  namespace: {
    type: 'string',
    value: 'NAMESPACE',
    help: 'The namespace the webhook runs in, always exempt.',
    default: defaultNamespace,
    env: 'POD_NAMESPACE',
  },
  'service-account': {
    type: 'string',
    value: 'NAME',
    help: 'The service account it runs as: what it writes on nodes itself is not judged.',
    default: productName,
    env: 'POD_SERVICE_ACCOUNT',
  },
  'no-pod-search': {
    type: 'boolean',
    help: 'Do not look for pods with the workflow labels outside the listed namespaces: that takes the right to list pods.',
    env: 'OSMO_ADMISSION_NO_POD_SEARCH',
  },
  'reload-interval': {
    type: 'string',
    value: 'DURATION',
    help: 'How often policy file, certificate and webhook configurations are compared with what is in force, beside file events.',
    default: '30s',
    env: 'OSMO_ADMISSION_RELOAD_INTERVAL',
  },
  'shutdown-delay': {
    type: 'string',
    value: 'DURATION',
    help: 'How long SIGTERM goes on accepting, because endpoints lag behind.',
    default: '10s',
    env: 'OSMO_ADMISSION_SHUTDOWN_DELAY',
  },
  'shutdown-timeout': {
    type: 'string',
    value: 'DURATION',
    help: 'How long requests in flight may take after that.',
    default: '30s',
    env: 'OSMO_ADMISSION_SHUTDOWN_TIMEOUT',
  },
  help: helpFlag,
};

export const serveHelp = `Runs the webhook server.

Usage:
  osmo-admission serve --tls-cert-file FILE --tls-private-key-file FILE [--config FILE] [--kubeconfig FILE | --nodes FILE]
  osmo-admission serve --tls-self-signed [--config FILE] [--kubeconfig FILE]

A flag that is not given is taken from its environment variable, then from its default. Durations are written as 10s or 1m30s.
The log goes to standard error, one JSON object a line.

Flags:
${describeFlags(flags)}

Signals:
  SIGTERM, SIGINT  drain and exit: no request in flight is lost; a second one ends the delay

Exit codes:
  0  stopped by a signal
  1  could not start: a bad policy file, certificate, client CA or signing key, an audit file that cannot be opened, a port in use, no API server configured
  2  called wrongly
`;

/** Settings of `serve`, read and checked. Durations in milliseconds. */
export interface ServeSettings {
  readonly config: string | undefined;
  readonly tls: { readonly certFile: string; readonly keyFile: string } | 'self-signed';
  /** Undefined: no client certificate is asked for. */
  readonly client: ClientSettings | undefined;
  readonly kubeconfig: string | undefined;
  readonly nodes: string | undefined;
  readonly host: string | undefined;
  readonly port: number;
  readonly healthHost: string | undefined;
  readonly healthPort: number;
  readonly audit: AuditSettings;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly searchPods: boolean;
  readonly reloadIntervalMs: number;
  readonly shutdownDelayMs: number;
  readonly shutdownTimeoutMs: number;
}

/** @returns the settings, or `help` where that was asked for. @throws UsageError naming the flag and what to give it. */
export function readServeFlags(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ServeSettings | 'help' {
  const parsed = parseFlags(args, flags, env);
  if (parsed.boolean('help')) return 'help';
  const [extra] = parsed.positionals;
  if (extra !== undefined) throw new UsageError(`serve takes flags only, not ${JSON.stringify(extra)}`);
  const duration = (name: string, fallback: number): number => {
    const text = parsed.string(name);
    const value = text === undefined ? fallback : parseGoDuration(text);
    if (value === undefined) throw new UsageError(`--${name} is ${JSON.stringify(text)}: give a duration such as 10s`);
    return value;
  };
  if (parsed.string('nodes') !== undefined && parsed.string('kubeconfig') !== undefined) {
    throw new UsageError('give --nodes or --kubeconfig, not both: live nodes come from one source');
  }
  const host = parsed.string('host');
  const reloadIntervalMs = duration('reload-interval', 30_000);
  if (reloadIntervalMs < 1_000) throw new UsageError('--reload-interval must be 1s or more');
  return {
    config: parsed.string('config'),
    tls: readTls(parsed),
    client: readClientFlags(parsed),
    kubeconfig: parsed.string('kubeconfig'),
    nodes: parsed.string('nodes'),
    host,
    port: port(parsed, 'port', 8443),
    healthHost: parsed.string('health-host') ?? host,
    healthPort: port(parsed, 'health-port', 8080),
    audit: readAuditFlags(parsed, env.POD_NAME || hostname()),
    namespace: parsed.string('namespace') ?? defaultNamespace,
    serviceAccount: parsed.string('service-account') ?? productName,
    searchPods: !parsed.boolean('no-pod-search'),
    reloadIntervalMs,
    shutdownDelayMs: duration('shutdown-delay', 10_000),
    shutdownTimeoutMs: duration('shutdown-timeout', 30_000),
  };
}

function readTls(parsed: ParsedFlags): ServeSettings['tls'] {
  if (!parsed.boolean('tls-self-signed')) {
    return { certFile: required(parsed, 'tls-cert-file'), keyFile: required(parsed, 'tls-private-key-file') };
  }
  const file = ['tls-cert-file', 'tls-private-key-file'].find((name) => parsed.string(name) !== undefined);
  if (file !== undefined) throw new UsageError(`give --${file} or --tls-self-signed, not both`);
  if (parsed.string('nodes') !== undefined) {
    throw new UsageError(
      '--tls-self-signed keeps its certificates in a cluster, and --nodes is for none: give certificate files',
    );
  }
  return 'self-signed';
}

function required(parsed: ParsedFlags, name: string): string {
  const value = parsed.string(name);
  if (value === undefined) throw new UsageError(`--${name} is missing: see osmo-admission serve --help`);
  return value;
}

function port(parsed: ParsedFlags, name: string, fallback: number): number {
  const text = parsed.string(name);
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!/^\d{1,5}$/.test(text) || value > 65_535)
    throw new UsageError(`--${name} is ${JSON.stringify(text)}: give a port from 0 to 65535`);
  return value;
}
