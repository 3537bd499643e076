import { finalStage, readDockerfile, textsOf } from './dockerfile.ts';

/** A folder of this machine, and where it is inside. */
export interface Mount {
  readonly from: string;
  readonly to: string;
  readonly readOnly: boolean;
}

export interface Containment {
  /** The image's root file system; folders for what is mounted are made in it, as a container runtime makes them. */
  readonly rootfs: string;
  readonly mounts: readonly Mount[];
  /** In Kubernetes the pod's name. */
  readonly hostname?: string;
  /** Beside the image's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** `UID:GID`, if it is not the Dockerfile's. */
  readonly user?: string;
  /** Its other groups, as fsGroup makes one; root alone can give any. */
  readonly groups?: readonly number[];
}

/**
 * The command that runs the image's own entry point in its root file system as a kubelet has a pod of ours run: by the Dockerfile's user, the
 * root read-only, no capability, no way to gain one. Root runs it by the user's real number; anybody else in a user namespace in which
 * that number is the only one. It stays one process, so that a signal to the child reaches the server.
 */
export function contained({
  rootfs,
  mounts,
  hostname,
  env = {},
  user: asUser,
  groups = [],
}: Containment): readonly string[] {
  const stage = finalStage(readDockerfile());
  const user = asUser ?? textsOf(stage, 'USER')[0] ?? '';
  const entryPoint: readonly string[] = JSON.parse(textsOf(stage, 'ENTRYPOINT')[0] ?? '[]');
  const [uid, gid] = user.split(':');
  const byRoot = process.getuid?.() === 0;
  const enter = byRoot
    ? `--inh-caps=-all --bounding-set=-all,+sys_chroot,+setuid,+setgid chroot --userspec=${user} --groups=${groups.join()} "$root"`
    : `unshare --user --map-user=${uid} --map-group=${gid} --root="$root" --wd=/`;
  const variables = [...textsOf(stage, 'ENV'), ...Object.entries(env).map(([name, value]) => `${name}=${value}`)].map(
    quote,
  );
  const inside = (path: string): string => quote(`${rootfs}${path}`);
  const script = `set -e
PATH=/usr/sbin:/usr/bin:/sbin:/bin
root=${quote(rootfs)}
${hostname === undefined ? '' : `echo ${quote(hostname)} > /proc/sys/kernel/hostname`}
mkdir -p "$root/proc" ${mounts.map(({ to }) => inside(to)).join(' ')}
mount --bind "$root" "$root"
mount --rbind /proc "$root/proc"
${mounts
  .flatMap(({ from, to, readOnly }) => [
    `mount --bind ${quote(from)} ${inside(to)}`,
    ...(readOnly ? [`mount -o remount,bind,ro ${inside(to)}`] : []),
  ])
  .join('\n')}
mount -o remount,bind,ro "$root"
exec env -i PATH="$PATH" ${variables.join(' ')} setpriv --no-new-privs ${enter} "$@"`;
  return [
    ...['/usr/bin/unshare', ...(byRoot ? [] : ['--map-root-user']), '--mount', '--uts'],
    ...['/bin/sh', '-c', script, 'contained', ...entryPoint],
  ];
}

/** For a shell. */
const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
