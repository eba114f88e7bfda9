import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** One violation per rule that matters: file, its text, the rule that has to speak up. */
const violations: [file: string, text: string, rule: string][] = [
  ["packages/protocol/src/a.ts", 'import "node:fs";', "no-restricted-imports"],
  ["packages/protocol/src/b.ts", 'import "@aegis/sdk/client";', "no-restricted-imports"],
  ["packages/sdk/src/a.ts", 'import "@aegis/daemon/main";', "no-restricted-imports"],
  ["packages/sdk/src/b.ts", 'import "../../daemon/src/main.ts";', "no-restricted-imports"],
  ["packages/guest/src/a.ts", 'import "@aegis/daemon/main";', "no-restricted-imports"],
  ["packages/guest/src/b.ts", 'export * from "../../protocol/src/errors.ts";', "no-restricted-imports"],
  ["packages/cli/src/a.ts", 'import "@aegis/daemon/main";', "no-restricted-imports"],
  ["kits/claw/src/a.ts", 'import "../../../packages/daemon/src/main.ts";', "no-restricted-imports"],
  ["packages/daemon/src/a.ts", 'import "@aegis/sdk/client";', "no-restricted-imports"],
  ["packages/daemon/src/core/a.ts", 'import "node:fs/promises";', "no-restricted-imports"],
  ["packages/daemon/src/core/b.ts", 'import "child_process";', "no-restricted-imports"],
  ["packages/daemon/src/core/c.ts", 'import type {} from "../store/database.ts";', "no-restricted-imports"],
  ["packages/daemon/src/core/d.ts", 'import "../main.ts";', "no-restricted-imports"],
  ["packages/daemon/src/http/routes/a.ts", 'import "../../drivers/fake/fake-driver.ts";', "no-restricted-imports"],
  ["packages/daemon/src/http/b.ts", 'import "../control/rpc.ts";', "no-restricted-imports"],
  ["packages/daemon/src/store/a.ts", 'import "../http/app.ts";', "no-restricted-imports"],
  ["packages/daemon/src/drivers/fake/a.ts", 'import "../container/oci.ts";', "no-restricted-imports"],
  ["packages/daemon/src/drivers/container/network/a.ts", 'import "../../fake/x.ts";', "no-restricted-imports"],
  ["packages/daemon/src/drivers/linux/network/a.ts", 'import "../../container/x.ts";', "no-restricted-imports"],
  ["packages/daemon/src/drivers/microvm/a.ts", 'import "../container/x.ts";', "no-restricted-imports"],
  ["packages/daemon/src/drivers/container/b.ts", 'import "../../images/store.ts";', "no-restricted-imports"],
  ["packages/sdk/src/any.ts", "export const f = (x: any) => x;", "no-explicit-any"],
  ["packages/sdk/src/bang.ts", "export const f = (x: string | null) => x!;", "no-non-null-assertion"],
  ["packages/sdk/src/floating.ts", "export const f = () => { Promise.resolve(1); };", "no-floating-promises"],
  ["packages/sdk/src/empty.ts", "export const f = () => { try { f(); } catch {} };", "no-empty"],
  ["packages/sdk/src/ignore.ts", "// @ts-ignore\nexport const f: number = '';", "ban-ts-comment"],
  ["packages/sdk/src/long.ts", `export const a = [\n${"1,\n".repeat(300)}];`, "max-lines"],
  ["packages/sdk/src/wide.ts", `export function f() {\n${"f();\n".repeat(60)}}`, "max-lines-per-function"],
  [
    "packages/sdk/src/switch.ts",
    'export function f(x: "a" | "b") { switch (x) { case "a": f(x); } }',
    "switch-exhaustiveness-check",
  ],
];

/** What the layers allow; nothing may speak up. */
const allowed: [file: string, text: string][] = [
  ["packages/protocol/src/ok.ts", 'import "./errors.ts";\nimport "typebox";'],
  ["packages/sdk/src/ok.ts", 'import "@aegis/protocol/errors";\nimport "node:net";'],
  ["packages/guest/src/ok.ts", 'import "@aegis/sdk/client";\nimport "@aegis/cli/cli";'],
  ["packages/cli/src/ok.ts", 'import "@aegis/sdk/client";'],
  ["packages/daemon/src/main.ts", 'import "./drivers/fake/fake-driver.ts";\nimport "./http/app.ts";'],
  ["packages/daemon/src/http/routes/ok.ts", 'import "../../core/driver.ts";\nimport "../app.ts";'],
  ["packages/daemon/src/drivers/linux/network/ok.ts", 'import "../cgroup.ts";\nimport "../../../core/driver.ts";'],
  ["packages/daemon/src/core/ok.ts", 'import "./driver.ts";\nimport type {} from "node:stream";'],
  ["tests/e2e/ok.ts", 'import "../../packages/daemon/src/core/driver.ts";'],
];

let folder: string;
let findings: { filename: string; code?: string }[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "aegis-checks-"));
  for (const file of [".oxlintrc.json", "tsconfig.json"]) cpSync(join(ROOT, file), join(folder, file));
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  for (const [file, text] of [...violations, ...allowed]) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), `${text}\n`);
  }
  findings = JSON.parse(await oxlint()).diagnostics;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function oxlint(): Promise<string> {
  const args = ["--type-aware", "--format=json"];
  return new Promise((resolve) => {
    execFile(join(ROOT, "node_modules/.bin/oxlint"), args, { cwd: folder, maxBuffer: 1e8 }, (_, out) => resolve(out));
  });
}

const rulesIn = (file: string) => findings.filter(({ filename }) => filename === file).map(({ code }) => code ?? "");

test.each(violations)("%s with %j fails by %s", (file, _text, rule) => {
  expect(rulesIn(file).some((code) => code.endsWith(`(${rule})`))).toBe(true);
});

test.each(allowed)("%s may import %j", (file) => {
  expect(rulesIn(file).filter((code) => code.includes("no-restricted-imports"))).toEqual([]);
});
