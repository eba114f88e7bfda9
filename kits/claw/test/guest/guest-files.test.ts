import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { collectGuestFiles } from "../../src/guest-files.ts";

async function collected(): Promise<{ folder: string; files: string[] }> {
  const folder = await mkdtemp(join(tmpdir(), "guest-files-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return { folder, files: await collectGuestFiles(folder) };
}

test("the entries, the plugin and its manifest are there, and nothing but programs and manifests", async () => {
  const { folder, files } = await collected();
  for (const file of [
    "bot.mjs",
    "work.mjs",
    "pause.mjs",
    "plugin/index.mjs",
    "plugin/openclaw.plugin.json",
    "plugin/package.json",
    "plugin/protocol/exec-frame.mjs",
    "plugin/run-in-child.pl",
    "plugin/file-helper.py",
  ])
    expect(files).toContain(file);
  expect(files).not.toContain("tsconfig.json");
  const onDisk = await readdir(folder, { recursive: true, withFileTypes: true });
  expect(onDisk.filter((entry) => entry.isFile())).toHaveLength(files.length);
  expect(files.filter((file) => !/\.(mjs|json|md|pl|py)$/.test(file))).toEqual([]);
});

test("twice gives the same bytes", async () => {
  const [one, two] = [await collected(), await collected()];
  expect(one.files).toEqual(two.files);
  for (const file of one.files)
    expect(await readFile(join(one.folder, file))).toEqual(await readFile(join(two.folder, file)));
});

/** The one package that the plugin imports: whoever loads the plugin has it. */
async function addOpenClaw(folder: string): Promise<void> {
  const place = join(folder, "node_modules/openclaw");
  await mkdir(place, { recursive: true });
  const exports = { "./plugin-sdk/sandbox": "./sandbox.mjs", "./plugin-sdk/gateway-method-runtime": "./gateway.mjs" };
  await writeFile(join(place, "package.json"), JSON.stringify({ name: "openclaw", exports }));
  await writeFile(join(place, "sandbox.mjs"), "export default {};");
  await writeFile(join(place, "gateway.mjs"), "export const dispatchGatewayMethod = undefined;");
}

test("every file loads by itself, without types, and with no package but OpenClaw", async () => {
  const { folder, files } = await collected();
  await addOpenClaw(folder);
  const modules = files.filter((file) => file.endsWith(".mjs") && !["bot.mjs", "work.mjs", "pause.mjs"].includes(file));
  const load = modules.map((file) => `import ${JSON.stringify(join(folder, file))};`).join("");
  const loaded = promisify(execFile)(process.execPath, ["--no-strip-types", "--input-type=module", "-e", load], {
    cwd: "/",
  });
  await expect(loaded).resolves.toMatchObject({ stderr: "" });
});

test("an entry that is started by hand says what is missing", async () => {
  const { folder } = await collected();
  const started = promisify(execFile)(process.execPath, [join(folder, "bot.mjs")], { env: {} });
  await expect(started).rejects.toThrow("CLAW_CONFIG is not set");
});
