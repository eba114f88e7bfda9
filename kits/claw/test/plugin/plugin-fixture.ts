import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type Button, type Chat, ChatBusy, type Upload } from "../../guest/plugin/chat.ts";
import type { DeliveryContext } from "../../guest/plugin/openclaw-api.ts";
import type { PluginConfig } from "../../guest/plugin/plugin-config.ts";
import { ChatCommands } from "../../guest/plugin/chat-commands.ts";
import { Inbox } from "../../guest/plugin/inbox.ts";
import { SandboxDesk } from "../../guest/plugin/sandbox-desk.ts";
import { SandboxStore } from "../../guest/plugin/sandbox-store.ts";
import { StayAwake } from "../../guest/plugin/stay-awake.ts";
import { type Client, WorkDesk } from "../../guest/plugin/work-desk.ts";
import { WorkFiles } from "../../guest/plugin/work-files.ts";
import { WorkLinks } from "../../guest/plugin/work-links.ts";
import { WorkStore } from "../../guest/plugin/work-store.ts";
import { WorkTeller } from "../../guest/plugin/work-teller.ts";
import { runTool, toolSpecs, type WorkParts } from "../../guest/plugin/work-tools.ts";
import { WorkWatcher } from "../../guest/plugin/work-watcher.ts";
import { GuestApiDouble } from "./guest-api-double.ts";

export const ann = { session: "ann", agent: "main", chat: { channel: "telegram", to: "telegram:1" } } satisfies Client;
export const ben = { session: "ben", agent: "main", chat: { channel: "telegram", to: "telegram:2" } } satisfies Client;

interface Message {
  to: string;
  text: string;
  buttons: Button[][];
}

/** What people see: each message with its newest text. */
class ChatDouble implements Chat {
  readonly messages: Message[] = [];
  readonly files: { name: string; picture: boolean; text: string; caption: string }[] = [];
  /** as the host's relay knows them */
  readonly #named = new Map<string, number>();
  edits = 0;
  failures = 0;
  /** the next edit is answered with 429 */
  busyMs: number | null = null;

  reaches(to: DeliveryContext): boolean {
    return to.channel === "telegram";
  }

  send(to: DeliveryContext, text: string, buttons: Button[][] = [], name?: string): Promise<number> {
    if (this.failures > 0) {
      this.failures -= 1;
      return Promise.reject(new Error("the relay is away"));
    }
    const known = name === undefined ? undefined : this.#named.get(name);
    const number = known ?? this.messages.push({ to: to.to ?? "", text, buttons }) - 1;
    if (name !== undefined) this.#named.set(name, number);
    return Promise.resolve(number);
  }

  edit(_to: DeliveryContext, message: number, text: string, buttons: Button[][] = []): Promise<void> {
    this.edits += 1;
    const { busyMs } = this;
    this.busyMs = null;
    if (busyMs !== null) return Promise.reject(new ChatBusy(busyMs));
    const sent = this.messages[message];
    if (sent === undefined) return Promise.reject(new Error(`no message ${message}`));
    Object.assign(sent, { text, buttons });
    return Promise.resolve();
  }

  async sendFile(_to: DeliveryContext, { name, content, picture }: Upload, caption: string): Promise<void> {
    if (this.failures > 0) {
      this.failures -= 1;
      throw new Error("the relay is away");
    }
    this.files.push({ name, picture, text: await content.text(), caption });
  }

  get texts(): string[] {
    return this.messages.map(({ text }) => text);
  }
}

/** The plugin without OpenClaw around it, on a Guest API stand-in. */
export async function plugin() {
  const folder = mkdtempSync(join(tmpdir(), "claw-kit-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const { double, api } = await GuestApiDouble.start();
  const chat = new ChatDouble();
  const informed: { text: string; wake: boolean }[] = [];
  const errors: string[] = [];
  const config: PluginConfig = {
    state_file: join(folder, "state", "claw-kit.json"),
    chat: { api_root: "", bot_token: "", bridge_port: 0, outbox: join(folder, "state", "claw-outbox") },
    inbox_file: join(folder, "state", "claw-inbox.json"),
    sandbox_file: join(folder, "state", "claw-sandboxes.json"),
    unanswered: { folder: join(folder, "state", "claw-unanswered"), queue: join(folder, "openclaw.sqlite") },
    llm: {
      api: "openai-completions",
      base_url: "http://127.0.0.1:8082/v1",
      model: "m",
      context_window: 1,
      max_tokens: 1,
      price: { input: 3, output: 15 },
    },
    work: {
      image: "claw",
      memory_mb: 1536,
      max_memory_mb: 4096,
      vcpus: 1,
      pause_after_idle_s: 60,
      stop_after_paused_s: 300,
    },
  };
  const { price } = config.llm;
  /** One life of the gateway. */
  const boot = () => {
    const onError = (what: string, error: unknown) => void errors.push(`${what}: ${String(error)}`);
    const store = new WorkStore(config.state_file);
    const awake = new StayAwake(api, (error) => onError("awake", error));
    const links = new WorkLinks(api);
    const files = new WorkFiles({ api, chat, onError, pauseMs: 1 });
    const audience = new WorkTeller({
      api,
      chat,
      store,
      links,
      files,
      price,
      minEditMs: 0,
      onError,
      informAgent: (_work, text, wake) => void informed.push({ text, wake }),
      retryAfterMs: [1, 1],
    });
    const watcher = new WorkWatcher({ api, store, awake, audience, onError, pollMs: 20 });
    onTestFinished(async () => {
      awake.close();
      await watcher.close();
    });
    const inbox = new Inbox(config.inbox_file);
    const desk = new WorkDesk(api, store, config, inbox);
    const sandboxes = new SandboxDesk(api, new SandboxStore(config.sandbox_file), config.work);
    const parts: WorkParts = { api, store, watcher, links, files, price, desk, sandboxes };
    const commands = new ChatCommands(parts, chat);
    const run = (tool: string, client: Client, params: Record<string, unknown> = {}) => {
      const spec = toolSpecs.find(({ name }) => name === tool);
      if (spec === undefined) throw new Error(`no tool ${tool}`);
      return runTool(spec, parts, client, params);
    };
    return { ...parts, sandboxes, inbox, watcher, awake, run, commands };
  };
  return { double, chat, informed, errors, config, boot };
}
