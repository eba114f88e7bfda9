import { once } from "node:events";
import { expect, it } from "vitest";
import type { BootSession } from "../../src/core/boot-session.ts";
import type { Instance } from "../../src/core/instance.ts";
import { SerialQueue } from "../../src/core/serial-queue.ts";
import { Waking, type WakingDeps } from "../../src/core/waking.ts";
import { aWorld, root } from "./family-world.ts";
import { ECHO_PORT, turn } from "./race-commands.ts";

const aServer = async (): Promise<Instance> =>
  root(await aWorld(), { command: ["echo-server", String(ECHO_PORT)], pause_after_idle_s: null });

/** What comes back on a connection whose first bytes are there before it is. */
async function knock(instance: Instance, word: string): Promise<string> {
  const early = () => Buffer.from(word);
  const { stream } = await instance.connections.open(ECHO_PORT, "http", { early });
  const [answer] = (await once(stream, "data")) as [Buffer];
  stream.destroy();
  return answer.toString();
}

it("a connection on its way in is answered, whatever pauses are asked for around it", async () => {
  const instance = await aServer();
  for (let turns = 0; turns < 12; turns++) {
    const before = instance.pause();
    const answer = knock(instance, `after ${turns}`);
    await turn(turns);
    const after = instance.pause();
    expect(await answer).toBe(`after ${turns}`);
    await Promise.all([before, after]);
  }
});

it("data that come while a pause is going on are no less than those that come after it", async () => {
  const instance = await aServer();
  for (let turns = 0; turns < 12; turns++) {
    const connection = await instance.connections.open(ECHO_PORT, "tcp");
    const pausing = instance.pause();
    await turn(turns);
    const data = Buffer.from("x");
    connection.fromOutside(data);
    connection.stream.write(data);
    expect(String((await once(connection.stream, "data"))[0])).toBe("x");
    await pausing;
    connection.stream.destroy();
  }
});

it("what comes to nothing in a machine that could be reached early is done once more, in the one that is awake", async () => {
  const [early, late] = [{}, {}] as [BootSession, BootSession];
  let begin: (session: BootSession) => void = () => undefined;
  const transitions = {
    session: null as BootSession | null,
    onBegin: (listener: typeof begin) => {
      begin = listener;
      return () => undefined;
    },
    keepInMemory: () => undefined,
    wake: async () => {
      begin(early);
      await turn();
      begin(late);
      transitions.session = late;
    },
  };
  const journal = { seen: { state: "hibernated", restartAt: null }, record: { enabled: true } };
  const waking = new Waking({
    journal,
    transitions,
    queue: new SerialQueue(),
    inBackground: () => undefined,
    isRemoved: () => false,
    refuseRemoved: () => undefined,
    warn: () => undefined,
  } as unknown as WakingDeps);
  const tried: BootSession[] = [];
  const act = async (session: BootSession): Promise<string> => {
    tried.push(session);
    if (session === early) throw new Error("its machine has ended");
    return "done";
  };
  expect(await waking.reach({ reason: "test", act, undo: () => undefined })).toBe("done");
  expect(tried.map((session) => (session === early ? "early" : "late"))).toEqual(["early", "late"]);
});
