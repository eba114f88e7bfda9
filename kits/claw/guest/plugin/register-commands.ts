import { BUTTON_NAMESPACE, type ChatCommand, chatCommands } from "./chat-commands.ts";
import type { Kit } from "./kit.ts";
import type { CommandContext, DeliveryContext, HookContext, InboundEvent, OpenClawApi, Press } from "./openclaw-api.ts";

/** OpenClaw has commands of these names itself and lets no plugin register them: they are taken out of what is said. */
const TAKEN: ReadonlySet<ChatCommand> = new Set(["stop", "usage", "help"]);
/** OpenClaw acts on it before anybody is asked, and then tells what it was. */
const BARE_STOP = /^\/stop(@\w+)?$/i;

/** Commands and buttons, which need no model. The kit answers by itself: OpenClaw would take the text for Markdown. */
export function registerCommands(api: OpenClawApi, kit: () => Pick<Kit, "runCommand" | "pressed" | "received">): void {
  const warn = (error: unknown) => api.logger.warn(`claw-kit: a command failed: ${String(error)}`);
  for (const { command, description } of chatCommands.filter((one) => !TAKEN.has(one.command)))
    api.registerCommand({
      name: command,
      description,
      acceptsArgs: true,
      handler: async (context) => {
        await kit().runCommand(command, context.args ?? "", commandClient(context));
        return { suppressReply: true };
      },
    });
  api.on("before_dispatch", async (event, context) => {
    const found = takenCommand(event.content ?? "");
    if (found === null) return undefined;
    await kit().runCommand(found.command, found.args, inboundClient(event, context));
    return { handled: true };
  });
  api.on("message_received", (event, context) => {
    const paths = (event.media ?? []).map(({ path }) => path).filter((path) => path !== undefined);
    if (paths.length > 0) kit().received(inboundClient(event, context).session, paths);
    if (BARE_STOP.test((event.content ?? "").trim()))
      kit().runCommand("stop", "", inboundClient(event, context)).catch(warn);
  });
  api.registerInteractiveHandler({
    channel: "telegram",
    namespace: BUTTON_NAMESPACE,
    handler: async (press) => {
      if (press.auth.isAuthorizedSender)
        await kit().pressed(press.callback.payload, chatOf(press), press.callback.messageId).catch(warn);
      return { handled: true };
    },
  });
}

/** `/usage`, `/stop work-1`, `/help@some_bot`; a bare `/stop` has been acted on already. */
function takenCommand(said: string): { command: ChatCommand; args: string } | null {
  const [, name = "", args = ""] = /^\/([a-z]+)(?:@\w+)?(?:\s+(.*))?$/is.exec(said.trim()) ?? [];
  const command = chatCommands.find((one) => one.command === name.toLowerCase())?.command;
  return command !== undefined && TAKEN.has(command) ? { command, args } : null;
}

function commandClient(context: CommandContext) {
  const { sessionKey = "unknown", agentId = null, channel = "telegram", to, accountId, messageThreadId } = context;
  return { session: sessionKey, agent: agentId, chat: place(channel, to, accountId, messageThreadId) };
}

function inboundClient(
  event: InboundEvent,
  { channelId = "telegram", accountId, conversationId, sessionKey }: HookContext,
) {
  const topic = /:topic:(\d+)$/.exec(conversationId ?? "")?.[1];
  const chat = place(channelId, conversationId, accountId, event.threadId ?? topic);
  return { session: sessionKey ?? event.sessionKey ?? "unknown", agent: null, chat };
}

const chatOf = ({ accountId, threadId, callback }: Press): DeliveryContext =>
  place("telegram", `telegram:${callback.chatId}`, accountId, threadId);

const place = (
  channel: string,
  to: string | undefined,
  accountId: string | undefined,
  threadId: string | number | undefined,
): DeliveryContext => ({
  channel,
  ...(to === undefined ? {} : { to }),
  ...(accountId === undefined ? {} : { accountId }),
  ...(threadId === undefined ? {} : { threadId }),
});
