import { field, readList, readObject, readString } from '../policy/model/read.ts';
import type { ApiClient } from './api-client.ts';

/** Entries of one page: some 5 MiB of JSON with fat nodes. */
const pageSize = 500;

/** `accept` for a list of metadata alone, in the API server's own shortened form. */
export const metadataOnly = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io';

export interface Listed {
  readonly items: readonly unknown[];
  readonly resourceVersion: string;
}

/** Lists a path page by page. @param accept another form of the answer than the usual. @throws ApiError, or ShapeError for an answer that is no list. */
export async function listAll(
  client: ApiClient,
  path: string,
  query: Readonly<Record<string, string>>,
  signal: AbortSignal,
  accept?: string,
): Promise<Listed> {
  const items: unknown[] = [];
  let token = '';
  let resourceVersion = '';
  do {
    const asked = { ...query, limit: String(pageSize), ...(token !== '' && { continue: token }) };
    const page = readObject(await client.get(path, asked, signal, accept), 'List');
    const metadata = readObject(field(page, 'metadata'), 'List.metadata');
    for (const item of readList(field(page, 'items'), 'List.items')) items.push(item);
    resourceVersion = readString(field(metadata, 'resourceVersion'), 'List.metadata.resourceVersion') ?? '';
    token = readString(field(metadata, 'continue'), 'List.metadata.continue') ?? '';
  } while (token !== '');
  return { items, resourceVersion };
}
