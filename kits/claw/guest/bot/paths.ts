import { join } from "node:path";

/** Where things are in the bot instance. Only the workspace outlives the instance. */
export interface BotPaths {
  /** what is installed: this plugin and its neighbours */
  claw: string;
  state: string;
  agent: string;
  config: string;
  log: string;
}

export const botPaths = (workspace: string, claw: string): BotPaths => ({
  claw,
  state: join(workspace, "state"),
  agent: join(workspace, "agent"),
  config: join(workspace, "state", "openclaw.json"),
  log: "/tmp/openclaw/openclaw.log",
});

/** What all of OpenClaw's agents share: queues, boots, schedules. */
export const openclawDatabase = (state: string): string => join(state, "state", "openclaw.sqlite");
