import { createReadStream } from "node:fs";
import type { Server } from "node:http";
import { pipeline } from "node:stream/promises";
import { answerResult, BotApiError } from "../bot-api/answer.ts";
import { readParameters } from "../bot-api/read-parameters.ts";
import { closeServer } from "../listen.ts";
import { parseJson } from "../json-value.ts";
import { nameOf, type SentJournal } from "../sent-journal.ts";
import type { FileCall, MethodCall, Upstream } from "../upstream.ts";
import type { FileStore } from "./file-store.ts";
import type { LocalChat } from "./local-chat.ts";
import { localMethod } from "./local-methods.ts";
import type { TelegramShapes } from "./telegram-shapes.ts";

interface Dependencies {
  chat: LocalChat;
  files: FileStore;
  shapes: TelegramShapes;
  page: Server;
  chatUrl: string;
  journal: SentJournal;
}

/** Plays Telegram for the one chat of the page. */
export class LocalUpstream implements Upstream {
  readonly chatUrl: string;
  readonly updates = null;
  readonly #deps: Dependencies;

  constructor(deps: Dependencies) {
    this.chatUrl = deps.chatUrl;
    this.#deps = deps;
  }

  async call({ method, query, request, response }: MethodCall): Promise<void> {
    const run = localMethod(method);
    if (!run) throw new BotApiError(404, `Not Found: the local chat has no method ${method}`);
    const name = nameOf(request);
    const known = name === null ? null : this.#deps.journal.named(name);
    const parameters = await readParameters(request, query);
    const result = known === null ? await run(this.#deps, parameters) : parseJson(known.text);
    if (name !== null && known === null)
      this.#deps.journal.put(name, { status: 200, type: "application/json", text: JSON.stringify(result) });
    answerResult(response, result);
  }

  async download({ path, response }: FileCall): Promise<void> {
    const file = this.#deps.files.find(path.split("/")[0] ?? "");
    if (!file) throw new BotApiError(404, "Not Found");
    response.writeHead(200, { "content-type": file.type, "content-length": file.size });
    await pipeline(createReadStream(this.#deps.files.path(file)), response).catch(() => response.destroy());
  }

  async close(): Promise<void> {
    this.#deps.chat.feed.close();
    await closeServer(this.#deps.page);
  }
}
