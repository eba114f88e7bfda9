import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { waitForInstance } from "@aegis/sdk/instance-watch";
import type { InstanceView } from "@aegis/protocol/instance";
import { type BotApiDouble, startBotApiDouble } from "../bot-api-double.ts";
import { KitFixture } from "../kit-fixture.ts";
import { type Orders, PuppetModel, SENT_FILE } from "../puppet-model.ts";

const TOKEN = "4242:canary-of-the-real-token";
const ADA = 42;
const BOB = 43;
const CROWD = [51, 52, 53, 54, 55, 56, 57];
const BOT = "claw-bot";
/** lies beside the bot's state, and wherever else a tool might look */
const CANARY = "what-only-the-bot-has";
/** what the plugin runs when what reads its files takes its time: it may have been paused */
const WAKES_SLOW_ONE = "true";
const HIDDEN = ["/workspace/state/canary", "/workspace/agent/canary", "/tmp/canary", "/root/canary", "/canary"];

let telegram: BotApiDouble;
let model: PuppetModel;
let kit: KitFixture;
let said = 0;

/** Has the bot's model make these calls in somebody's chat. @returns what each of them answered */
async function use(who: number, ...calls: Orders["calls"]): Promise<readonly string[]> {
  const word = `done-${++said}.`;
  telegram.say(JSON.stringify({ calls, say: word } satisfies Orders), who);
  await telegram.waitForMessage(({ chatId, text }) => chatId === who && text.includes(word), 120_000);
  expect(model.results).toHaveLength(calls.length);
  return model.results;
}

async function shell(who: number, command: string): Promise<string> {
  const [result = ""] = await use(who, ["exec", { command }]);
  return result.trim();
}

async function sandboxOf(who: number): Promise<InstanceView> {
  const all = (await kit.client.instances.list()).filter(({ handle }) => handle.startsWith("sandbox-"));
  const [own, ...more] = all.filter(({ handle }) => handle.startsWith(`sandbox-telegram-direct-${who}-`));
  if (own === undefined || more.length > 0) throw new Error(`sandboxes: ${all.map(({ handle }) => handle).join(", ")}`);
  return own;
}

/** Ada says a command, and OpenClaw answers without the model. */
async function toldOf(command: string, answer: RegExp): Promise<void> {
  telegram.say(command, ADA);
  await telegram.waitForMessage(({ chatId, text }) => chatId === ADA && answer.test(text), 60_000);
}

/** What the host sees in an instance. */
async function seenIn(id: string, script: string): Promise<string> {
  const lines: string[] = [];
  for await (const step of kit.client.instances.exec(id, { command: ["sh", "-c", script] }))
    if ("line" in step) lines.push(step.line);
  return lines.join("\n");
}

/** @returns the programs of all commands so far */
async function execsIn(instance: string): Promise<string[]> {
  const programs: string[] = [];
  for await (const { detail } of kit.client.audit.entries({ instance, action: "instance.exec" }))
    programs.push(detail ?? "");
  return programs;
}

const reaches = (id: string, state: InstanceView["state"]) =>
  waitForInstance(kit.client, id, (instance) => instance.state === state);

/** Each step goes on from the one before. */
describe("the bot's own tools, with the real OpenClaw", { timeout: 180_000 }, () => {
  beforeAll(async () => {
    telegram = await startBotApiDouble({ token: TOKEN });
    model = await PuppetModel.start();
    kit = new KitFixture({
      TELEGRAM_BOT_TOKEN: TOKEN,
      TELEGRAM_API_ROOT: telegram.url,
      TELEGRAM_ALLOW_FROM: [ADA, BOB, ...CROWD].join(","),
      OPENAI_BASE_URL: model.url,
      OPENAI_MODEL: "puppet",
      CLAW_OWN_TOOLS: "sandbox",
    });
    await kit.start("Chat", "--idle", "5");
    await seenIn(BOT, HIDDEN.map((path) => `echo ${CANARY} > ${path}`).join("; "));
    expect(await seenIn(BOT, `cat ${HIDDEN[0]}`)).toBe(CANARY);
  }, 900_000);

  afterAll(async () => {
    await kit?.interrupt();
    // the kit does not end a daemon that it did not start
    await kit?.cli(["down"]);
    const left = await kit?.remove();
    await telegram?.close();
    await model?.close();
    expect(left).toEqual([]);
  }, 120_000);

  it("a chat that uses none has no sandbox", async () => {
    await use(ADA, ["work_list", {}]);
    // files that the tools cannot read would only lead astray
    expect(model.prompt).toContain("sandbox");
    expect(model.prompt).not.toMatch(/<available_skills>/);
    expect((await kit.client.instances.list()).map(({ handle }) => handle)).toEqual([BOT]);
  });

  it("run in the sandbox of the chat and never in the bot: exec, write, read, edit, ls, apply_patch, process", async () => {
    const results = await use(
      ADA,
      ["exec", { command: "hostname; pwd; echo made > by-exec; mkdir folder" }],
      ["write", { path: "folder/by-write", content: "one\ntwo\n" }],
      ["edit", { path: "folder/by-write", oldText: "two", newText: "three" }],
      ["read", { path: "folder/by-write" }],
      ["ls", { path: "folder" }],
      ["apply_patch", { input: "*** Begin Patch\n*** Add File: by-patch\n+four\n*** End Patch" }],
      ["exec", { command: "read line; echo got $line > by-process; echo noted", background: true }],
      ["process", { action: "list" }],
    );
    const { id, handle } = await sandboxOf(ADA);
    expect(results[0]?.trim()).toBe(`${handle}\n/workspace`);
    expect(results[3]).toContain("one\nthree");
    expect(results[4]).toContain("by-write");
    // OpenClaw by itself has some fifty commands for these files, each of them a process of its own
    const programs = (await execsIn(handle)).filter((program) => program !== WAKES_SLOW_ONE);
    expect(programs.join("\n")).toContain("python3");
    expect(programs.length).toBeLessThan(15);
    const session = /session ([a-z-]+)/.exec(results[6] ?? "")?.[1];
    expect(results[7]).toContain(session);
    const ended = await use(
      ADA,
      ["process", { action: "write", sessionId: session, data: "a line\n", eof: true }],
      ["process", { action: "poll", sessionId: session, timeout: 20_000 }],
    );
    expect(ended[1]).toContain("noted");
    const look = "cd /workspace && tail by-* folder/by-*";
    expect(await seenIn(id, look)).toMatch(/made[\s\S]*four[\s\S]*got a line[\s\S]*one\nthree/);
    expect(await seenIn(BOT, "find / -xdev -name 'by-*' 2>/dev/null; find /workspace -name 'by-*'")).not.toMatch(
      /by-(exec|write|patch|process)/,
    );
  });

  it("do not get at what is beside the bot's state, by whatever path", async () => {
    await shell(ADA, "ln -s /etc/hostname link; ln -s /workspace/state state; ln -s / root; ln folder/by-write hard");
    const outside = ["/etc/hostname", "/opt/claw/bot.mjs", "../../etc/hostname", "link"];
    const beside = [
      "../state/canary",
      "root/workspace/state/canary",
      "state/canary",
      "/workspace/agent/../state/canary",
      ...HIDDEN,
    ];
    const results = await use(
      ADA,
      ...[...outside, ...beside].map((path): Orders["calls"][number] => ["read", { path }]),
    );
    expect(
      results
        .slice(0, outside.length)
        .join("\n")
        .match(/escapes allowed mounts/g),
    ).toHaveLength(outside.length);
    for (const result of results) expect(result).toMatch(/^\{\s*"status": "error"/);
    expect(results.join("\n")).not.toContain(CANARY);
    const writes = await use(
      ADA,
      ["write", { path: "/opt/claw/bot.mjs", content: "x" }],
      ["write", { path: "root/opt/claw/bot.mjs", content: "x" }],
      ["edit", { path: "/etc/hostname", oldText: "sandbox", newText: "x" }],
      ["apply_patch", { input: "*** Begin Patch\n*** Add File: ../../tmp/by-patch\n+x\n*** End Patch" }],
      ["ls", { path: "/" }],
      ["ls", { path: "root/opt" }],
    );
    for (const result of writes) expect(result).toMatch(/escapes|outside|error/i);
    expect(await seenIn(BOT, "cat /opt/claw/bot.mjs /etc/hostname; ls /tmp")).not.toMatch(/^x$|by-patch/m);
  });

  it("are no way into the bot for a model that asks for one, or for a person who does", async () => {
    const { handle } = await sandboxOf(ADA);
    const look = `hostname; cat ${HIDDEN.join(" ")}`;
    const wanted = [
      { host: "gateway" },
      { host: "gateway", elevated: true, security: "full", ask: "off" },
      { host: "node", node: "gateway" },
      { host: "auto", elevated: true },
      { pty: true },
      { env: { PATH: "/workspace/state", LD_PRELOAD: "x", OPENCLAW_STATE_DIR: "/workspace/state" } },
    ];
    const ran = await use(ADA, ...wanted.map((more): Orders["calls"][number] => ["exec", { command: look, ...more }]));
    for (const result of ran) expect(result).not.toContain(CANARY);
    for (const result of ran.slice(0, 5)) expect(result).toContain(handle);
    for (const workdir of ["/workspace/state", "/opt/claw", "/root", "root/opt", "../opt"]) {
      const [result] = await use(ADA, ["exec", { command: "echo ran in $PWD", workdir }]);
      expect(result).toMatch(/not executed|cannot be used/);
    }
    telegram.say("/elevated full", ADA);
    await toldOf("/exec host=gateway security=full ask=off", /host=gateway/);
    const [after = ""] = await use(ADA, ["exec", { command: look, elevated: true }]);
    expect(after).not.toContain(CANARY);
    expect(after).toMatch(/No command was run: [\s\S]*\/exec host=sandbox/);
    await toldOf("/exec host=sandbox", /host=sandbox/);
    expect(await shell(ADA, "hostname")).toBe(handle);
  });

  it("reach the bot neither over the network nor through the bot's own reach", async () => {
    const ports = [7777, 8081, 8082, 8787, 18789];
    const fetches = [
      ...ports.map((port) => `http://127.0.0.1:${port}/`),
      "http://localhost:7777/v1/self",
      "http://[::1]:7777/v1/self",
      "http://2130706433:7777/v1/self",
      "file:///workspace/state/canary",
    ];
    const results = await use(ADA, ...fetches.map((url): Orders["calls"][number] => ["web_fetch", { url }]));
    for (const result of results) expect(result).toMatch(/"status": "error"[\s\S]*(Blocked|Invalid URL)/);
    const ask = (path: string) => `curl -s -o /dev/null -w '%{http_code} ' http://127.0.0.1:${path}`;
    const inside = await shell(ADA, [7777, 8081, 8082, 8787, 18789].map((port) => ask(`${port}/v1/self`)).join("; "));
    expect(inside).toMatch(/^200 000 000 000 000\b/);
    expect(await shell(ADA, "aegis-guest spawn -- true 2>&1; aegis-guest ls 2>&1; env")).toMatch(
      /may not create instances/,
    );
  });

  it("see a file that a person has sent", async () => {
    telegram.files.set("data.csv", Buffer.from("n,square\n2,4\n"));
    const calls: Orders["calls"] = [
      ["read", { path: SENT_FILE }],
      ["exec", { command: `cut -d, -f2 ${SENT_FILE}; echo ${SENT_FILE}` }],
    ];
    telegram.inject({
      message: {
        message_id: 7000,
        date: Math.floor(Date.now() / 1000),
        from: { id: ADA, is_bot: false, first_name: "Ada" },
        chat: { id: ADA, type: "private", first_name: "Ada" },
        document: { file_id: "data.csv", file_unique_id: "d", file_name: "data.csv", mime_type: "text/csv" },
        caption: JSON.stringify({ calls, say: "looked at it" } satisfies Orders),
      },
    });
    await telegram.waitForMessage(({ text }) => text.includes("looked at it"), 120_000);
    expect(model.results[0]).toContain("n,square\n2,4");
    const [, , path = ""] = model.results[1]?.split("\n") ?? [];
    expect(model.results[1]).toMatch(/^square\n4\nmedia\/inbound\//);
    expect(await seenIn((await sandboxOf(ADA)).id, `cat /workspace/${path}`)).toContain("n,square");
  });

  it("send the chat a file that they made", async () => {
    await use(
      ADA,
      ["exec", { command: "seq 3 > numbers.txt" }],
      ["send_file", { path: "numbers.txt", caption: "three" }],
    );
    expect(model.results[1]).toContain("numbers.txt was sent to the chat");
    const sent = telegram.calls.find(({ parameters }) => parameters["caption"] === "three");
    expect([...(sent?.files ?? [])].map(([name, content]) => [name, content.toString()])).toEqual([
      ["numbers.txt", "1\n2\n3\n"],
    ]);
  });

  it("another chat has another sandbox, and sees nothing of the first", async () => {
    expect(await shell(BOB, "hostname; find / -xdev -name 'by-*' 2>/dev/null; ls -A; echo bob > of-bob")).toBe(
      (await sandboxOf(BOB)).handle,
    );
    expect((await sandboxOf(BOB)).id).not.toBe((await sandboxOf(ADA)).id);
    const other = (await sandboxOf(BOB)).handle;
    const reached = await shell(ADA, `ls; aegis-guest exec ${other} -- cat of-bob 2>&1; curl -sm 2 http://${other}/`);
    expect(reached).toContain("by-exec");
    expect(reached).toContain(`no instance ${other}`);
    expect(reached).not.toMatch(/\bof-bob$|\bbob\b$/m);
  });

  it("the sandbox sleeps when it is left alone, and the next call wakes it with its files", async () => {
    const { id } = await sandboxOf(ADA);
    await reaches(id, "paused");
    expect(await shell(ADA, "cat by-exec")).toBe("made");
    const read: Orders["calls"][number] = ["read", { path: "by-exec" }];
    expect((await use(ADA, read, read))[1]).toContain("made");
    // by request, in the moment in which what has read the file waits for more
    await kit.client.instances.pause(id);
    expect(await use(ADA, read)).toEqual([expect.stringContaining("made")]);
    expect((await sandboxOf(ADA)).id).toBe(id);
  });

  it("the sandbox is the same one after the bot was restarted, and after the daemon was killed", async () => {
    const { id } = await sandboxOf(ADA);
    await kit.client.instances.restart(BOT);
    expect(await shell(ADA, "cat by-exec")).toBe("made");
    process.kill((await kit.client.status()).pid, "SIGKILL");
    await kit.aegis("up");
    expect(await shell(ADA, "cat by-exec")).toBe("made");
    expect((await sandboxOf(ADA)).id).toBe(id);
  });

  it("a sandbox that was stopped or has died is started again, and what went wrong is said", async () => {
    const { id } = await sandboxOf(ADA);
    await kit.client.instances.stop(id);
    expect(await shell(ADA, "cat by-exec")).toBe("made");
    const [greedy, fatal, after] = await use(
      ADA,
      ["exec", { command: "python3 -c 'x = bytearray(900 << 20)'" }],
      ["exec", { command: "kill 1; sleep 60" }],
      ["exec", { command: "cat by-exec" }],
    );
    expect(greedy).toMatch(/Killed|137|MemoryError|cut off/);
    expect(fatal).toMatch(/cut off|exited with/);
    expect(after?.trim()).toBe("made");
    expect((await sandboxOf(ADA)).id).toBe(id);
  });

  it("a sandbox that was deleted is gone, and the next message has a new one", async () => {
    const { id } = await sandboxOf(ADA);
    await kit.client.instances.delete(id);
    expect(await shell(ADA, "ls -A")).not.toContain("by-exec");
    const { id: next } = await sandboxOf(ADA);
    expect(next).not.toBe(id);
    // the other chat's is as it was
    expect(await shell(BOB, "cat of-bob")).toBe("bob");
  });

  it("more chats than sandboxes: the one that slept longest is put away, and is back with its files when it is used", async () => {
    const { id, handle } = await sandboxOf(BOB);
    await shell(ADA, "true");
    await kit.client.instances.pause(id);
    for (const who of CROWD) expect(await shell(who, "ls -A")).toBe("(no output)");
    const handles = (await kit.client.instances.list()).map((instance) => instance.handle);
    expect(handles).not.toContain(handle);
    expect(handles).toHaveLength(1 + 8);
    await kit.client.instances.pause((await sandboxOf(ADA)).id);
    expect(await shell(BOB, "cat of-bob")).toBe("bob");
    expect((await sandboxOf(BOB)).handle).toBe(handle);
  });
});
