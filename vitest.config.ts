import { defineConfig } from "vitest/config";

/** What instances do that are virtual machines: all but what is about containers, the kits, and what was never tried on them. */
const ON_VMS = {
  include: ["tests/e2e/{functional,security,durability,microvm}/**/*.test.ts"],
  exclude: ["tests/e2e/functional/container-driver.test.ts", "tests/e2e/durability/{crash-point,messages}.test.ts"],
};
const QUICK_ON_VMS = ["tests/e2e/functional/exec.test.ts"];
const ON_CONTAINERS = { include: ["tests/e2e/**/*.test.ts"] };
/** instances, images and ports of the whole machine: one file at a time */
const E2E = {
  fileParallelism: false,
  testTimeout: 240_000,
  hookTimeout: 300_000,
  // for what never comes: instances are virtual machines without hardware help at times
  expect: { poll: { timeout: 60_000 } },
};

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
          expect: { poll: { timeout: 30_000 } },
        },
      },
      {
        test: { name: "e2e", ...E2E, ...(process.env["AEGIS_DRIVER"] === "microvm" ? ON_VMS : ON_CONTAINERS) },
      },
      {
        // so much of it as a machine without KVM does in a few minutes
        test: { name: "vm", ...E2E, env: { AEGIS_DRIVER: "microvm" }, include: QUICK_ON_VMS },
      },
    ],
  },
});
