import { createServer, type ServerResponse } from "node:http";
import { once } from "node:events";
import { lastTurn } from "../../kits/claw/src/model/conversation.ts";

type Request = Parameters<typeof lastTurn>[0];

interface EchoModel {
  url: string;
  /** what it has said, oldest first */
  replies: readonly string[];
  /** From now on an answer with that text in it is held back; without a text every answer is. */
  hold: (text?: string) => HeldAnswer;
  close: () => Promise<void>;
}

interface HeldAnswer {
  /** settles with the first answer that is held back */
  asked: Promise<void>;
  release: () => void;
}

/** An OpenAI-compatible model that answers `q17` with `a17`: what was answered, and how often, can be counted. */
export async function startEchoModel(): Promise<EchoModel> {
  const replies: string[] = [];
  let held: { text: string; asked: PromiseWithResolvers<void>; released: PromiseWithResolvers<void> } | null = null;
  const server = createServer((request, response) => {
    // OpenClaw asks before a scheduled job whether a model on loopback is there
    if (request.method === "GET") return void response.end(JSON.stringify({ object: "list", data: [] }));
    void (async () => {
      const body = JSON.parse(Buffer.concat(await request.toArray()).toString()) as Request;
      const text = echo(body);
      if (held !== null && text.includes(held.text)) {
        held.asked.resolve();
        await held.released.promise;
      }
      replies.push(text);
      answer(response, text, body.stream === true);
    })();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const close = async () => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  const hold = (text = ""): HeldAnswer => {
    const now = { text, asked: Promise.withResolvers<void>(), released: Promise.withResolvers<void>() };
    held = now;
    return { asked: now.asked.promise, release: now.released.resolve };
  };
  return { hold, url: `http://127.0.0.1:${port}/v1`, replies, close };
}

/**
 * What was said last may be several messages: OpenClaw gives them to the model as one, and what comes while a turn has
 * begun as another one behind it.
 */
function echo(request: Request): string {
  const { messages } = request;
  const unanswered = messages.slice(messages.findLastIndex(({ role }) => role === "assistant") + 1);
  const said = unanswered.map((message) => lastTurn({ ...request, messages: [message] }).said).join("\n");
  const asked = said.match(/\bq\d+\b/g) ?? (INTERRUPTED.test(said) ? askedBefore(request) : []);
  // asked twice in one breath it answers once
  return asked.length === 0 ? "NO_REPLY" : [...new Set(asked)].map((word) => word.replace("q", "a")).join(" ");
}

/** With these words OpenClaw goes on with a turn that a restart has cut off; a model answers what it was asked then. */
const INTERRUPTED = /previous turn was interrupted by a gateway restart/;

function askedBefore({ messages }: Request): readonly string[] {
  const texts = messages.filter(({ role }) => role === "user").map(({ content }) => JSON.stringify(content));
  return texts.findLast((text) => /\bq\d+\b/.test(text))?.match(/\bq\d+\b/g) ?? [];
}

function answer(response: ServerResponse, text: string, stream: boolean): void {
  const base = { id: "chatcmpl-echo", created: 0, model: "echo" };
  const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
  if (!stream) {
    const choices = [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }];
    response.writeHead(200, { "content-type": "application/json" });
    return void response.end(JSON.stringify({ ...base, object: "chat.completion", choices, usage }));
  }
  const chunk = (delta: object, finish_reason: string | null) =>
    `data: ${JSON.stringify({ ...base, object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason }], usage })}\n\n`;
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.end(`${chunk({ role: "assistant", content: text }, null)}${chunk({}, "stop")}data: [DONE]\n\n`);
}
