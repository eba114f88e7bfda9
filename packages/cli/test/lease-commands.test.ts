import { FakeDaemon } from "@aegis/sdk/test/fake-daemon";
import { afterEach, beforeEach, expect, it } from "vitest";
import { anInstance } from "./an-instance.ts";
import { aegis } from "./run-in-test.ts";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await FakeDaemon.start();
  daemon.routes["GET /v1/instances/web"] = () => ({ body: anInstance({ leases }) });
  daemon.routes["POST /v1/instances/web/lease"] = () => ({ status: 201, body: leases[0] });
  for (const id of ["lease-1", "lease-2"]) daemon.routes[`DELETE /v1/instances/web/lease/${id}`] = () => ({ body: {} });
});
afterEach(() => daemon.close());

const leases = [
  { lease_id: "lease-1", reason: "build", owner: "host", expires_at: "2026-01-31T12:05:00Z" },
  { lease_id: "lease-2", reason: "a turn", owner: "inst-1", expires_at: "2026-01-31T12:00:30Z" },
];

const run = (line: string | string[]) => aegis(line, { home: daemon.home });
const sent = (method: string) => daemon.calls.filter((call) => call.method === method);

it("acquires one and prints its id alone", async () => {
  expect((await run("lease acquire web --for 2h --reason build")).stdout).toBe("lease-1\n");
  await run("lease acquire web");
  expect(sent("POST").map(({ body }) => body)).toEqual([
    { ttl_ms: 7_200_000, reason: "build" },
    { ttl_ms: 600_000, reason: "by hand" },
  ]);
});

it.each(["25h", "never", "0s"])("does not take a lease for %s", async (time) => {
  expect((await run(`lease acquire web --for ${time}`)).code).toBe(2);
  expect(daemon.calls).toEqual([]);
});

it("lists them with what is left of each", async () => {
  const { stdout } = await run("lease list web");
  expect(stdout).toMatch(/lease-1 +host +5 min +build\nlease-2 +itself +30 s +a turn\n$/);
  expect(JSON.parse((await run("lease list web --json")).stdout)).toEqual(leases);
});

it("releases one, or all", async () => {
  expect((await run("lease release web lease-2")).stdout).toBe("released lease-2\n");
  expect((await run("lease release web --all")).stdout).toBe("released lease-1\nreleased lease-2\n");
  expect(sent("DELETE").map(({ path }) => path.split("/").at(-1))).toEqual(["lease-2", "lease-1", "lease-2"]);
});

it.each(["", "lease-1 --all"])("does not guess what `lease release web %s` means", async (rest) => {
  const { code, stderr } = await run(`lease release web ${rest}`);
  expect(code).toBe(2);
  expect(stderr).toContain("name one lease, or say --all");
});
