import { existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

/**
 * A bot as small as can be, behind the contract of OpenClaw's webhook: it answers 200 with the receipt once an update is on
 * disk, knows an update that comes twice, answers each chat in order, and after a kill goes on with what is not answered,
 * under the same name, as the plugin's bridge does.
 * Runs inside of an instance, so it imports nothing.
 */
interface Update {
  update_id: number;
  message: { chat: { id: number }; text: string };
}

const API = "http://127.0.0.1:8081/bot1:aegis";
const JOURNAL = "/workspace/journal";
const seen = new Set<number>();
const lanes = new Map<number, Update[]>();
const running = new Set<number>();
let stopping = false;

const earlier = existsSync(JOURNAL) ? readFileSync(JOURNAL, "utf8").split("\n") : [];
const journal = openSync(JOURNAL, "a");
// a kill in the middle of a write leaves half a line, which was not acknowledged
writeSync(journal, "\n");

function keep(line: string): void {
  writeSync(journal, `${line}\n`);
  fsyncSync(journal);
}

function take(update: Update): void {
  if (seen.has(update.update_id)) return;
  seen.add(update.update_id);
  const chat = update.message.chat.id;
  const lane = lanes.get(chat) ?? [];
  lane.push(update);
  lanes.set(chat, lane);
}

async function call(
  method: string,
  parameters: object,
  name?: string,
): Promise<{ ok: boolean; parameters?: { retry_after: number } }> {
  try {
    const response = await fetch(`${API}/${method}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...(name === undefined ? {} : { "x-claw-send-id": name }) },
      body: JSON.stringify(parameters),
      signal: AbortSignal.timeout(30_000),
    });
    return (await response.json()) as { ok: boolean };
  } catch {
    // cut off: whether it was done is not known
    return { ok: false };
  }
}

async function until(method: string, parameters: object, name?: string): Promise<void> {
  for (let answer = await call(method, parameters, name); !answer.ok; answer = await call(method, parameters, name))
    await delay((answer.parameters?.retry_after ?? 0.1) * 1000);
}

async function run(chat: number): Promise<void> {
  if (running.has(chat)) return;
  running.add(chat);
  const lane = lanes.get(chat) ?? [];
  for (let [update] = lane; update !== undefined && !stopping; [update] = lane) {
    const text = update.message.text.replace("q", "a");
    await until("sendMessage", { chat_id: chat, text }, `answer-to-update-${update.update_id}`);
    keep(`-${update.update_id}`);
    lane.shift();
  }
  running.delete(chat);
  if (lane.length === 0) lanes.delete(chat);
  if (stopping && running.size === 0) process.exit(0);
}

/** Asked to stop, it ends what it is doing. */
process.on("SIGTERM", () => {
  stopping = true;
  if (running.size === 0) process.exit(0);
});

const kept = new Map<number, Update>();
for (const line of earlier) {
  if (line.startsWith("+") && line.endsWith("}")) {
    const update = JSON.parse(line.slice(1)) as Update;
    kept.set(update.update_id, update);
    seen.add(update.update_id);
  }
  if (line.startsWith("-")) kept.delete(Number(line.slice(1)));
}
for (const update of kept.values()) {
  seen.delete(update.update_id);
  take(update);
}
for (const chat of lanes.keys()) void run(chat);

createServer((request, response) => {
  void (async () => {
    if (request.url === "/may-sleep") return response.writeHead(lanes.size === 0 ? 200 : 409).end();
    const update = JSON.parse(Buffer.concat(await request.toArray()).toString()) as Update;
    if (!seen.has(update.update_id)) {
      keep(`+${JSON.stringify(update)}`);
      take(update);
      void run(update.message.chat.id);
    }
    response.setHeader("x-openclaw-delivery-accepted", "durable");
    return response.writeHead(200).end();
  })();
}).listen(8787, "127.0.0.1", () => {
  void until("setWebhook", { url: "https://relay.invalid/telegram-webhook" });
});
