import type { Claim, ClaimReference } from './claims.ts';
import { field, type JsonObject, readList, readObject, readString } from './read.ts';

/** API group of claims and device classes (Dynamic Resource Allocation). */
export const claimGroup = 'resource.k8s.io';

/** The kind of claim that an object is; undefined where it is none. */
export function claimKindOf(apiVersion: string, kind: string): ClaimReference['kind'] | undefined {
  if (!apiVersion.startsWith(`${claimGroup}/`)) return undefined;
  return kind === 'ResourceClaim' || kind === 'ResourceClaimTemplate' ? kind : undefined;
}

/**
 * Reads the device classes out of a ResourceClaim or ResourceClaimTemplate of resource.k8s.io: v1 and v1beta2 have them at
 * `requests[].exactly.deviceClassName`, v1beta1 at `requests[].deviceClassName`, all at `requests[].firstAvailable[].deviceClassName`. A template
 * holds the claim's spec as its `spec.spec`.
 * @param namespace where the object names none, as a manifest may.
 * @throws ShapeError with the path of the field that is not of its type.
 */
export function readClaim(kind: ClaimReference['kind'], value: unknown, namespace = ''): Claim {
  const claim = readObject(value, kind);
  const metadata = readObject(field(claim, 'metadata'), `${kind}.metadata`);
  const own = readObject(field(claim, 'spec'), `${kind}.spec`);
  const isTemplate = kind === 'ResourceClaimTemplate';
  const path = isTemplate ? `${kind}.spec.spec` : `${kind}.spec`;
  const spec = isTemplate ? readObject(field(own, 'spec'), path) : own;
  return {
    kind,
    name: readString(field(metadata, 'name'), `${kind}.metadata.name`) ?? '',
    namespace: readString(field(metadata, 'namespace'), `${kind}.metadata.namespace`) ?? namespace,
    classes: readClasses(spec, path),
  };
}

function readClasses(spec: JsonObject, path: string): readonly string[] {
  const devices = readObject(field(spec, 'devices'), `${path}.devices`);
  const classes = new Set<string>();
  readList(field(devices, 'requests'), `${path}.devices.requests`).forEach((entry, index) => {
    const at = `${path}.devices.requests[${index}]`;
    const request = readObject(entry, at);
    addClass(classes, request, at);
    addClass(classes, readObject(field(request, 'exactly'), `${at}.exactly`), `${at}.exactly`);
    readList(field(request, 'firstAvailable'), `${at}.firstAvailable`).forEach((choice, rank) => {
      const where = `${at}.firstAvailable[${rank}]`;
      addClass(classes, readObject(choice, where), where);
    });
  });
  return [...classes].sort();
}

function addClass(classes: Set<string>, request: JsonObject, path: string): void {
  const name = readString(field(request, 'deviceClassName'), `${path}.deviceClassName`);
  if (name !== undefined && name !== '') classes.add(name);
}
