import { type Button, type Chat } from "./chat.ts";
import { shorten } from "./chat-text.ts";
import type { DeliveryContext } from "./openclaw-api.ts";
import type { Client } from "./work-desk.ts";
import type { WorkRecord } from "./work-record.ts";
import { WorkRefused } from "./work-refused.ts";
import { toolSpecs, type WorkParts } from "./work-tools.ts";
import { listLine } from "./work-texts.ts";
import { usageReport } from "./usage-report.ts";
import { refusalText } from "./failure-text.ts";
import { isAlive } from "./work-watcher.ts";

/** What a chat sees of a command: a message, with buttons under it. */
export interface Reply {
  text: string;
  buttons: Button[][];
}

/** Telegram takes no longer message. */
const MAX_TEXT = 4096;
const LISTED = 8;
/** what buttons send begins with it; OpenClaw brings it here */
export const BUTTON_NAMESPACE = "claw-work";

/** Shown when somebody types "/", in this order. */
export const chatCommands = [
  { command: "work", description: "Your work instances, with buttons" },
  { command: "logs", description: "What a work instance printed last" },
  { command: "stop", description: "Stop what the bot is doing, and the newest work" },
  { command: "preview", description: "The link of a work instance" },
  { command: "usage", description: "Time, tokens and memory" },
  { command: "help", description: "What this bot can do" },
] as const;

export type ChatCommand = (typeof chatCommands)[number]["command"];

const help = `I answer here, and heavy jobs get a machine of their own, a work instance. Just say what you want:
"build me a website about lobsters", "plot this table", "show me the logs", "stop it".

Without the model, so at once and for free:
/work – your work instances, with buttons to open, stop, resume and delete
/work NAME – how one of them is
/logs [NAME] – what it printed last
/stop [NAME] – stops what I am doing and the newest work that is going on
/preview [NAME] – its link, as it is now
/usage – time, tokens and memory
/new – a fresh conversation

Without a NAME it is the newest one.`;

const toolOf: Partial<Record<ChatCommand, string>> = { logs: "work_logs", preview: "work_preview" };

/** The commands, and the buttons under their answers. They know no model, and a chat nothing but its own work. */
export class ChatCommands {
  readonly #parts: WorkParts;
  readonly #chat: Chat;

  constructor(parts: WorkParts, chat: Chat) {
    this.#parts = parts;
    this.#chat = chat;
  }

  /** Answers in the chat. @param args as they were typed */
  async run(command: ChatCommand, args: string, client: Client & { chat: DeliveryContext }): Promise<void> {
    const reply = await this.reply(command, args.trim(), client).catch(refused);
    if (reply.text !== "") await this.#chat.send(client.chat, shorten(reply.text, MAX_TEXT), reply.buttons);
  }

  async reply(command: ChatCommand, name: string, client: Client): Promise<Reply> {
    switch (command) {
      case "work":
        return name === "" ? await this.#list(client.session) : await this.#one(this.#named(client, name));
      case "logs":
      case "preview":
        return plain(await this.#tool(toolOf[command] ?? "", client, name));
      case "stop":
        return plain(await this.#stop(client, name));
      case "usage":
        return plain(await usageReport(this.#parts, client.session));
      case "help":
        return plain(help);
    }
  }

  /**
   * Somebody has pressed a button. The message that it is under becomes the answer, or a new one does.
   * @param payload what follows the namespace: `verb:id`
   */
  async pressed(payload: string, chat: DeliveryContext, message: number): Promise<void> {
    const [verb = "", id = ""] = payload.split(":");
    const mine = this.#parts.store.ofChat(chat);
    const work = mine.find((one) => one.id === id);
    const answer = await this.#press(verb, work, mine).catch((error: unknown) => ({ ...refused(error), isNew: true }));
    if (answer.isNew) await this.#chat.send(chat, shorten(answer.text, MAX_TEXT), answer.buttons);
    else await this.#chat.edit(chat, message, shorten(answer.text, MAX_TEXT), answer.buttons);
  }

  async #press(
    verb: string,
    work: WorkRecord | undefined,
    mine: readonly WorkRecord[],
  ): Promise<Reply & { isNew: boolean }> {
    const list = async () => ({ ...(await this.#listOf(mine)), isNew: false });
    if (verb === "list") return await list();
    if (work === undefined) throw new WorkRefused("That work does not exist any more. /work shows what there is.");
    const client = { session: work.session, agent: null, chat: work.chat };
    const tool = async (name: string) => ({ ...plain(await this.#tool(name, client, work.handle)), isNew: true });
    switch (verb) {
      case "open":
        return await tool("work_preview");
      case "logs":
        return await tool("work_logs");
      case "stop":
        await this.#parts.api.stop(work.id);
        return await list();
      case "resume":
        await this.#tool("work_resume", client, work.handle);
        return await list();
      case "delete":
        return { ...askDelete(work), isNew: false };
      case "really-delete":
        await this.#parts.api.delete(work.id);
        this.#parts.store.forget(new Set([work.id]));
        return await list();
      default:
        throw new WorkRefused("This button is from another version of the bot. /work shows what there is.");
    }
  }

  /** What is going on comes first: an end of what has ended already is nobody's wish. */
  async #stop(client: Client, name: string): Promise<string> {
    const running = this.#parts.store.running().findLast((work) => work.session === client.session);
    // OpenClaw has answered already
    if (name === "" && running === undefined) return "";
    return await this.#tool("work_stop", client, name === "" ? (running?.handle ?? "") : name);
  }

  #named(client: Client, name: string): WorkRecord {
    return this.#parts.desk.find(client.session, name);
  }

  #list(session: string): Promise<Reply> {
    return this.#listOf(this.#parts.store.ofSession(session));
  }

  async #listOf(mine: readonly WorkRecord[]): Promise<Reply> {
    const all = await this.#parts.desk.existing(mine);
    if (all.length === 0)
      return plain("This chat has no work instance. Ask for something heavy, and there will be one.");
    const shown = all.slice(0, LISTED);
    const text = shown.map(({ work, instance }) => listLine(work, instance));
    const more = all.length - shown.length;
    return {
      text: [...text, ...(more > 0 ? [`and ${more} older`] : [])].join("\n"),
      buttons: shown.map(({ work, instance }) => buttonsOf(work, isAlive(instance), work.handle)),
    };
  }

  async #one(work: WorkRecord): Promise<Reply> {
    const client = { session: work.session, agent: null, chat: work.chat };
    const instance = await this.#parts.api.get(work.id);
    const text = await this.#tool("work_status", client, work.handle);
    return { text, buttons: [buttonsOf(work, isAlive(instance), "Open")] };
  }

  async #tool(tool: string, client: Client, name: string): Promise<string> {
    const spec = toolSpecs.find((one) => one.name === tool);
    if (spec === undefined) throw new Error(`no tool ${tool}`);
    return await spec.run(this.#parts, client, name === "" ? {} : { name });
  }
}

const plain = (text: string): Reply => ({ text, buttons: [] });

const refused = (error: unknown): Reply => plain(error instanceof WorkRefused ? error.message : refusalText(error));

const button = (text: string, verb: string, work: WorkRecord): Button => ({
  text,
  data: `${BUTTON_NAMESPACE}:${verb}:${work.id}`,
});

/** One row. What has no site has nothing to open, and shows its name on the logs. */
function buttonsOf(work: WorkRecord, alive: boolean, name: string): Button[] {
  const first =
    work.url === null
      ? [button(name === "Open" ? "📄 Logs" : `📄 ${name}`, "logs", work)]
      : [button(`🔗 ${name}`, "open", work), button("📄 Logs", "logs", work)];
  const power = alive && work.phase !== "failed" ? button("⏹ Stop", "stop", work) : button("▶ Resume", "resume", work);
  return [...first, power, button("🗑 Delete", "delete", work)];
}

const askDelete = (work: WorkRecord): Reply => ({
  text: `Delete ${work.handle} (${shorten(work.title, 80)})? Its link ends for good. Its files stay on the host.`,
  buttons: [[button("🗑 Yes, delete", "really-delete", work), { text: "↩ Back", data: `${BUTTON_NAMESPACE}:list` }]],
});
