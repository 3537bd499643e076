import { finalStage, readDockerfile, textsOf } from './dockerfile.ts';

export interface Containment {
  /** The image's root file system; folders for what is mounted are made in it, as a container runtime makes them. */
  readonly rootfs: string;
  /** A folder that is mounted where it is outside, to be read only. */
  readonly volume: string;
}

/**
 * The command that runs the image's own entry point in its root file system as a kubelet has a pod of ours run: by the Dockerfile's user, the
 * root read-only, no capability, no way to gain one. Root runs it by the user's real number; anybody else in a user namespace in which
 * that number is the only one. It stays one process, so that a signal to the child reaches the server.
 */
export function contained({ rootfs, volume }: Containment): readonly string[] {
  const stage = finalStage(readDockerfile());
  const [user = ''] = textsOf(stage, 'USER');
  const entryPoint: readonly string[] = JSON.parse(textsOf(stage, 'ENTRYPOINT')[0] ?? '[]');
  const [uid, gid] = user.split(':');
  const byRoot = process.getuid?.() === 0;
  const enter = byRoot
    ? `--inh-caps=-all --bounding-set=-all,+sys_chroot,+setuid,+setgid chroot --userspec=${user} --groups= "$root"`
    : `unshare --user --map-user=${uid} --map-group=${gid} --root="$root" --wd=/`;
  const script = `set -e
PATH=/usr/sbin:/usr/bin:/sbin:/bin
root=$1 volume=$2
shift 2
mkdir -p "$root/proc" "$root$volume"
mount --bind "$root" "$root"
mount --rbind /proc "$root/proc"
mount --bind "$volume" "$root$volume"
mount -o remount,bind,ro "$root$volume"
mount -o remount,bind,ro "$root"
${textsOf(stage, 'ENV')
  .map((text) => `export ${text}`)
  .join('\n')}
exec setpriv --no-new-privs ${enter} "$@"`;
  return [
    ...['/usr/bin/unshare', ...(byRoot ? [] : ['--map-root-user']), '--mount'],
    ...['/bin/sh', '-c', script, 'contained', rootfs, volume, ...entryPoint],
  ];
}
