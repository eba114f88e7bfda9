import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { createInterface } from "node:readline";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { GuestAgent } from "../../../src/drivers/microvm/guest-agent.ts";

/** As packages/guest/vm/agent.pl answers. */
class Guest {
  readonly wishes: string[] = [];
  offMs = 0;
  answer: (wish: string) => string = (wish) => this.#clock(wish);

  listen(path: string): net.Server {
    return net
      .createServer((socket) => {
        createInterface({ input: socket }).on("line", (line) => {
          const [id, ...words] = line.split(" ");
          this.wishes.push(words.join(" "));
          socket.write(`${id} ${this.answer(words.join(" "))}\n`);
        });
      })
      .listen(path);
  }

  #clock(wish: string): string {
    const [name, value] = wish.split(" ");
    if (name === "step") this.offMs += Number(value) / 1e6;
    return name === "time" ? `ok ${Math.round((Date.now() + this.offMs) * 1000)}000` : "ok ";
  }
}

let folder = "";
let guest: Guest;
let server: net.Server;
let agent: GuestAgent;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "aegis-agent-"));
  const path = join(folder, "agent.sock");
  guest = new Guest();
  server = guest.listen(path);
  await once(server, "listening");
  agent = new GuestAgent(path);
});

afterEach(async () => {
  agent.close();
  server.close();
  rmSync(folder, { recursive: true });
});

it("steps a clock that is wrong, whichever way, to the millisecond", async () => {
  for (const offMs of [-86_400_000, 5_000, -250]) {
    guest.offMs = offMs;
    await agent.setClock();
    expect(Math.abs(guest.offMs)).toBeLessThan(5);
  }
});

it("leaves a clock alone that may be right", async () => {
  await agent.setClock();
  expect(guest.wishes.filter((wish) => wish.startsWith("step"))).toEqual([]);
});

it("gives up on a guest that tells no time", async () => {
  guest.answer = () => "ok soon";
  await agent.setClock();
  expect(guest.wishes).toEqual(["time"]);
});

it("gives a seed that nobody else has, and says why a guest did not take its name", async () => {
  const identity = { hostname: "one", address: "10.0.0.2", gateway: "10.0.0.1" };
  await agent.become(identity);
  await agent.become(identity);
  const [one = "", other] = guest.wishes;
  expect(one).toMatch(/^become [0-9a-f]{128} one 10\.0\.0\.2 10\.0\.0\.1$/);
  expect(one).not.toBe(other);
  guest.answer = () => "failed eth0: No such device";
  await expect(agent.become(identity)).rejects.toThrow("name and address: failed eth0: No such device");
});
