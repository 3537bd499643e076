const reasons: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  408: 'Timeout',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  500: 'InternalError',
};

/**
 * An error as the JSON of a Kubernetes Status: kube-apiserver's webhook client decodes it and shows its message.
 * @param code the HTTP status.
 * @param message for people; the product's name is put before it.
 */
export function buildStatus(code: number, message: string): string {
  return JSON.stringify({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: `osmo-admission: ${message}`,
    reason: reasons[code] ?? 'Unknown',
    code,
  });
}
