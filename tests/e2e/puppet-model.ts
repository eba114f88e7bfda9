import { lastTurn } from "../../kits/claw/src/model/conversation.ts";
import { call, type Reply, say } from "../../kits/claw/src/model/reply.ts";
import { type DemoModel, startDemoModel } from "../../kits/claw/src/model/start-demo-model.ts";

export const SENT_FILE = "{sent file}";

type Request = Parameters<typeof lastTurn>[0];

/**
 * What a test writes to the bot, as JSON: the calls that its model then makes one after the other, and its last words.
 * {@link SENT_FILE} in it stands for where OpenClaw says that the file of this message is.
 */
export interface Orders {
  calls: [tool: string, parameters: object][];
  /** left out: the results of the calls, between lines of dashes */
  say?: string;
}

/** An OpenAI-compatible model that does as the person says, so that a test can use any tool of the bot's agent. */
export class PuppetModel {
  readonly complaints: string[] = [];
  /** what the calls of the last orders answered */
  results: readonly string[] = [];
  /** what OpenClaw has told it of itself, with the last orders */
  prompt = "";
  /** ms from each call of the last orders to its result, on this side of OpenClaw */
  took: number[] = [];
  #called = 0;
  #server: DemoModel | null = null;

  static async start(): Promise<PuppetModel> {
    const model = new PuppetModel();
    const log = (line: string) => void model.complaints.push(line);
    model.#server = await startDemoModel({
      host: "127.0.0.1",
      port: 0,
      log,
      reply: (request) => model.#reply(request),
    });
    return model;
  }

  /** base URL of the API */
  get url(): string {
    return this.#server?.url ?? "";
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }

  #reply(request: Request): Reply {
    const { said, results } = lastTurn(request);
    const json = /\{"calls".*\}/s.exec(said)?.[0];
    if (json === undefined) return say("NO_REPLY");
    this.results = results;
    this.prompt = JSON.stringify(request.messages[0]);
    if (results.length === 0) this.took = [];
    else this.took.push(performance.now() - this.#called);
    this.#called = performance.now();
    const file =
      JSON.stringify(request.messages)
        .match(/media\/inbound\/[\w./-]+/g)
        ?.at(-1) ?? SENT_FILE;
    const orders = JSON.parse(json.replaceAll(SENT_FILE, file)) as Orders;
    const next = orders.calls[results.length];
    return next === undefined ? say(orders.say ?? results.join("\n-----\n")) : call(...next);
  }
}
