import { defaultNamespace } from '../manifests/objects.ts';
import type { Flag } from './flags.ts';

/** `--namespace` of the commands that work on a cluster which has the webhook. */
export const installedFlag: Flag = {
  type: 'string',
  short: 'n',
  value: 'NAMESPACE',
  help: 'Where the webhook is installed there.',
  default: defaultNamespace,
};
