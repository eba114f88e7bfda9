import { optionalText, requiredText } from "./tool-params.ts";
import { WorkRefused } from "./work-refused.ts";
import type { ToolSpec } from "./work-tools.ts";

/** Of what the agent's own tools made: the bot, which sends, has none of their files. */
export const sendFile: ToolSpec = {
  name: "send_file",
  label: "Send a file",
  description: "Sends a file or picture of your sandbox to the chat. Files of work instances are sent with work_files.",
  properties: {
    path: { type: "string", description: "in /workspace, e.g. plot.png" },
    caption: { type: "string", description: "a line under it; usually left out" },
  },
  required: ["path"],
  run: async ({ sandboxes, files }, { session, chat }, params) => {
    if (chat === null) throw new WorkRefused("This chat cannot take files.");
    const sandbox = sandboxes.of(session);
    if (sandbox === null)
      throw new WorkRefused("You have made no file yet: nothing has run in the sandbox of this chat.");
    const path = requiredText(params, "path");
    const sent = await files.send(sandbox, chat, path, optionalText(params, "caption") ?? "");
    return `${sent} was sent to the chat.`;
  },
};
