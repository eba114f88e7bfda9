import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { GuestAgent } from "../../../src/drivers/microvm/guest-agent.ts";
import { temporaryFolder } from "../../temporary-folder.ts";

let server: Server;
let agent: GuestAgent;
let guest: Socket;

beforeEach(async () => {
  const path = join(temporaryFolder(), "agent.sock");
  server = createServer().listen(path);
  await once(server, "listening");
  const connected = once(server, "connection") as Promise<[Socket]>;
  agent = new GuestAgent(path);
  [guest] = await connected;
  guest.on("error", () => undefined);
});
afterEach(() => {
  agent.close();
  guest.destroy();
  server.close();
});

const answer = (text: string): void => {
  guest.on("data", (wish: Buffer) => guest.write(`${wish.toString().split(" ")[0]} ${text}\n`));
};

test("tells what the guest counted", async () => {
  answer("ok 2 3 4");
  expect(await agent.readCounts()).toEqual({ outOfMemoryKills: 2, refusedProcesses: 3, processes: 4 });
});

test("keeps what it was told of refused processes when the instance's group is gone with the count", async () => {
  guest.write("refused 7\nexited 1 0 0\n");
  await expect.poll(() => agent.counts).toEqual({ outOfMemoryKills: 1, refusedProcesses: 7, processes: 0 });
});

test("listens on while it is told what it asked for, however often", async () => {
  answer("ok 1 0");
  for (let wish = 0; wish < 100; wish++) await agent.readCounts();
  expect(agent.counts).toEqual({ outOfMemoryKills: 1, refusedProcesses: 0, processes: 0 });
});

test.each([
  ["a line without end", "x".repeat(1024 * 1024)],
  ["lines that nobody asked for", "9 ok\n".repeat(100)],
])("listens no more to a guest that sends %s, and waits for no answer of it", async (_what, bytes) => {
  const closed = new Promise((resolve) => guest.once("close", resolve));
  guest.write(bytes);
  guest.resume();
  await closed;
  expect(await agent.readCounts()).toEqual({ outOfMemoryKills: 0, refusedProcesses: 0, processes: 0 });
});
