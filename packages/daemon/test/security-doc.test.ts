import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../../..");
const promises = readFileSync(join(ROOT, "docs/security.md"), "utf8").match(/^\|.*\.test\.ts`.*\|$/gm) ?? [];
const named = promises
  .flatMap((row) => [...row.matchAll(/`([^`]+\.test\.ts)` ([^|`]+)/g)])
  .map(([, file = "", title = ""]) => [file, title.replace(/,?\s+$/, "")] as const);

it("docs/security.md has promises, and each has a test", () => {
  expect(promises.length).toBeGreaterThan(10);
  expect(named.length).toBeGreaterThanOrEqual(promises.length);
});

it.each(named)("%s has the test that docs/security.md names: %s", (file, title) => {
  expect(readFileSync(join(ROOT, file), "utf8")).toContain(title);
});
