import type { ChatCompletionRequest } from "@copilotkit/aimock";
import { botReply } from "./bot-script.ts";
import { lastTurn } from "./conversation.ts";
import type { Reply } from "./reply.ts";
import { workReply } from "./work-script.ts";

/** Only the bot has the kit's tools; a work instance has OpenClaw's own alone. */
export function demoReply(request: ChatCompletionRequest): Reply {
  const turn = lastTurn(request);
  const inWorkInstance = !turn.tools.has("work_spawn") && (turn.tools.has("write") || turn.tools.has("exec"));
  return inWorkInstance ? workReply(turn) : botReply(turn);
}
