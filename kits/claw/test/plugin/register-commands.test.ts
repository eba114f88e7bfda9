import { expect, test } from "vitest";
import type {
  Claim,
  Command,
  HookContext,
  InboundEvent,
  InteractiveHandler,
  OpenClawApi,
} from "../../guest/plugin/openclaw-api.ts";
import { registerCommands } from "../../guest/plugin/register-commands.ts";

type Hook = (event: InboundEvent, context: HookContext) => Promise<Claim> | Claim | void;

/** OpenClaw as far as commands go, and what the kit was asked for. */
function registered() {
  const commands = new Map<string, Command>();
  const hooks = new Map<string, Hook>();
  const asked: unknown[] = [];
  let buttons: InteractiveHandler | undefined;
  const api = {
    logger: { warn: (text: string) => asked.push(text) },
    registerCommand: (command: Command) => commands.set(command.name, command),
    registerInteractiveHandler: (handler: InteractiveHandler) => (buttons = handler),
    on: (name: string, hook: Hook) => hooks.set(name, hook),
  };
  registerCommands(api as unknown as OpenClawApi, () => ({
    runCommand: (...call) => Promise.resolve(void asked.push(call)),
    received: (...call) => void asked.push(call),
    pressed: (...call) => Promise.resolve(void asked.push(call)),
    runTool: () => Promise.resolve(""),
    start: () => undefined,
    stop: () => Promise.resolve(),
  }));
  const said = (hook: string, content: string, rest: Partial<InboundEvent> = {}) =>
    hooks.get(hook)?.(
      { content, sessionKey: "s", ...rest },
      { channelId: "telegram", conversationId: "-100:topic:5", sessionKey: "s" },
    );
  return { commands, said, asked, press: (press: unknown) => buttons?.handler(press as never) };
}

const group = { session: "s", agent: null, chat: { channel: "telegram", to: "-100:topic:5", threadId: "5" } };

test("names that OpenClaw lets a plugin have are registered", async () => {
  const { commands, asked } = registered();
  expect([...commands.keys()]).toEqual(["work", "logs", "preview"]);
  const context = { sessionKey: "s", agentId: "main", channel: "telegram", to: "telegram:42", args: "work-1" };
  expect(await commands.get("logs")?.handler(context)).toEqual({ suppressReply: true });
  expect(asked).toEqual([
    ["logs", "work-1", { session: "s", agent: "main", chat: { channel: "telegram", to: "telegram:42" } }],
  ]);
});

test.each([
  ["/usage", ["usage", "", group]],
  ["/help@claw_bot", ["help", "", group]],
  ["/stop work-1", ["stop", "work-1", group]],
])("%s is taken out of what is said", async (text, call) => {
  const { said, asked } = registered();
  expect(await said("before_dispatch", text)).toEqual({ handled: true });
  expect(asked).toEqual([call]);
});

test.each(["help", "/helpme", "/new", "/work", "tell me about /usage", ""])("%o is not", async (text) => {
  const { said, asked } = registered();
  expect(await said("before_dispatch", text)).toBeUndefined();
  expect(asked).toEqual([]);
});

test("a bare /stop is heard beside OpenClaw's own", async () => {
  const { said, asked } = registered();
  await said("message_received", "stop it");
  await said("message_received", "/stop work-1");
  expect(asked).toEqual([]);
  await said("message_received", " /stop@claw_bot ");
  expect(asked).toEqual([["stop", "", group]]);
});

test("only those press buttons who may talk to the bot", async () => {
  const { press, asked } = registered();
  const callback = { payload: "stop:inst-1", messageId: 7, chatId: "42" };
  expect(await press({ auth: { isAuthorizedSender: false }, callback })).toEqual({ handled: true });
  expect(asked).toEqual([]);
  await press({ auth: { isAuthorizedSender: true }, callback, threadId: 3 });
  expect(asked).toEqual([["stop:inst-1", { channel: "telegram", to: "telegram:42", threadId: 3 }, 7]]);
});

test("what comes along with a message is remembered for its chat", async () => {
  const { said, asked } = registered();
  await said("message_received", "look", { media: [{ path: "/workspace/state/media/inbound/a.csv" }, {}] });
  await said("message_received", "nothing with it", { media: [{}] });
  expect(asked).toEqual([["s", ["/workspace/state/media/inbound/a.csv"]]]);
});
