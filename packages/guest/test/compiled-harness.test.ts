import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@aegis/sdk/test/free-port";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildGuest } from "../build.ts";
import { TestHarness } from "./harness-client.ts";

const NOBODY = [
  "--reuid",
  "65534",
  "--regid",
  "65534",
  "--clear-groups",
  "--bounding-set",
  "-all",
  "--inh-caps",
  "-all",
];

/** on a machine that others use too */
const BUILD_MS = 240_000;

let folder: string;
let guest: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "aegis-guest-"));
  chmodSync(folder, 0o755);
  guest = join(folder, "guest");
  buildGuest(guest);
}, BUILD_MS);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** As in an instance: through its own loader, as somebody without any capability. */
function program(): [string, ...string[]] {
  const binary = [join(guest, "aegis-guest")];
  const loader = join(guest, "lib/ld-linux-x86-64.so.2");
  const loaded: [string, ...string[]] = [loader, "--library-path", join(guest, "lib"), ...binary];
  return process.getuid?.() === 0 ? ["setpriv", ...NOBODY, ...loaded] : loaded;
}

test("a folder that fits the sources is left alone, a foreign one is replaced", { timeout: BUILD_MS }, () => {
  const built = statSync(join(guest, "aegis-guest")).ino;
  expect(buildGuest(guest)).toBe(false);
  expect(statSync(join(guest, "aegis-guest")).ino).toBe(built);
  rmSync(join(guest, ".stamp"));
  expect(buildGuest(guest)).toBe(true);
  expect(readdirSync(folder)).toEqual(["guest"]);
  expect(readdirSync(guest).sort()).toEqual([".stamp", "aegis-guest", "bin", "lib", "tini"]);
});

test("the token is closed to processes of the same user, the workload's environment is not", async () => {
  const harness = await TestHarness.start(program());
  try {
    const control = await harness.control();
    const { result } = await control.run(["sleep", "60"], { guest_api_port: await freePort() });
    const { pid } = result as { pid: number };
    const read = async (of: number | undefined, file: string) =>
      (await harness.exec(["head", "-c", "1", `/proc/${of}/${file}`])).exit();
    expect((await read(pid, "environ")).code).toBe(0);
    expect((await read(pid, "maps")).code).toBe(0);
    for (const file of ["environ", "maps", "mem", "auxv"]) expect((await read(harness.process.pid, file)).code).toBe(1);
  } finally {
    await harness.stop();
  }
});

test("pipes can be opened again and terminals work in the compiled binary too", async () => {
  const harness = await TestHarness.start(program());
  try {
    const piped = await harness.exec(["sh", "-c", "echo ok > /dev/stdout"]);
    expect((await piped.exit()).code).toBe(0);
    expect(piped.output().toString()).toBe("ok\n");
    const terminal = await harness.exec(["stty", "size"], { tty: { cols: 70, rows: 20 } });
    expect((await terminal.exit()).code).toBe(0);
    expect(terminal.output().toString()).toBe("20 70\r\n");
  } finally {
    await harness.stop();
  }
});
