import type { Keeper } from "./keeper.ts";

const STATE = "/workspace/state";

/**
 * Brings the state in a workspace to what the OpenClaw of the keeper's image wants: an older layout is moved to where the
 * bot looks for it, then OpenClaw's own doctor repairs config and databases.
 */
export async function migrate(keeper: Keeper): Promise<void> {
  await keeper.run(["node", "/opt/claw/adopt.mjs"]);
  await keeper.run(["openclaw", "doctor", "--fix", "--non-interactive"], {
    env: {
      OPENCLAW_STATE_DIR: STATE,
      OPENCLAW_CONFIG_PATH: `${STATE}/openclaw.json`,
      OPENCLAW_NO_RESPAWN: "1",
      OPENCLAW_DISABLE_BONJOUR: "1",
      NO_COLOR: "1",
    },
  });
}
