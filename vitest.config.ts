import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["packages/*/test/**/*.test.ts", "kits/*/test/**/*.test.ts"],
          // many of them wait for something: with one core left out, as by default, two cores would do one at a time
          maxWorkers: "100%",
          // for what hangs, on a machine that others use too; nothing is measured by it
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        // instances, images and ports of the whole machine: one file at a time
        test: {
          name: "e2e",
          include: ["tests/e2e/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 240_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
