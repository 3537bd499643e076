import { defineConfig } from 'vitest/config';

// `./node_modules/.bin/vitest` run by hand takes the machine's own Node; the scripts of package.json take the pinned one.
if (Number(process.versions.node.split('.')[0]) < 26) {
  throw new Error(
    `The tests run on the project's own Node 26, not on ${process.version}: use "npm test" or "npx vitest".`,
  );
}

const cluster = {
  globalSetup: ['test/cluster/global-setup.ts'],
  testTimeout: 60_000,
  hookTimeout: 120_000,
  fileParallelism: false,
};

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/e2e/**', 'test/browser/**', 'test/chart/**'],
          testTimeout: 30_000,
        },
      },
      // A real Chromium: `npm run test:browser`.
      { test: { name: 'browser', include: ['test/browser/*.test.ts'], testTimeout: 120_000, hookTimeout: 120_000 } },
      // Real control plane: `npm run test:e2e`. One file at a time, since each starts its own. The chart's tests need helm alone.
      { test: { ...cluster, name: 'e2e', include: ['test/e2e/*.test.ts', 'test/chart/*.test.ts'] } },
      // What takes longer: `npm run test:e2e:full`.
      { test: { ...cluster, name: 'e2e-full', include: ['test/e2e/full/*.test.ts'] } },
    ],
  },
});
