import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { socketPathOf } from "@aegis/sdk/aegis-home";
import { AegisClient } from "@aegis/sdk/client";
import { HostLeftovers } from "../host-leftovers.ts";
import { type Note, notesOf } from "../run-notes.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** boots an instance, and takes some seconds */
const TEST = "tests/e2e/functional/exec.test.ts";

it("a run that is interrupted takes away what its tests had on the host", async () => {
  const folder = mkdtempSync(join(tmpdir(), "aegis-run-"));
  try {
    const npmTest = spawn(process.execPath, ["scripts/test.mjs", "--e2e", TEST], {
      cwd: ROOT,
      env: { ...process.env, TMPDIR: folder },
      stdio: ["ignore", "pipe", "inherit"],
      // as a shell gives it a group of its own, which a Ctrl-C reaches as a whole
      detached: true,
    });
    const ended = once(npmTest, "exit") as Promise<[number | null]>;
    const printed = text(npmTest.stdout);
    const home = await homeWithInstance(folder);
    const leftovers = new HostLeftovers(home);
    leftovers.remember();
    expect(leftovers.now()).not.toEqual([]);
    process.kill(-Number(npmTest.pid), "SIGINT");
    expect(await ended).toEqual([130, null]);
    expect(await leftovers.settled()).toEqual([]);
    expect(await printed).toContain(`${home} is gone`);
    expect(readdirSync(folder)).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** The home of the test that the run is at, once an instance runs there. */
async function homeWithInstance(folder: string): Promise<string> {
  const isHome = (note: Note) => note.kind === "home";
  const notes = () => readdirSync(folder).flatMap((run) => notesOf(join(folder, run)).filter(isHome));
  await expect.poll(notes, { interval: 100 }).toHaveLength(1);
  const home = String(notes()[0]?.home);
  const client = new AegisClient({ socketPath: socketPathOf(home) });
  const states = async () => (await client.instances.list().catch(() => [])).map(({ state }) => state);
  await expect.poll(states, { interval: 100 }).toContain("running");
  return home;
}
