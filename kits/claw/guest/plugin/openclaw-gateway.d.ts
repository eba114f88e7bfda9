/** The part of OpenClaw's gateway API (2026.9) that this plugin uses; OpenClaw resolves the import when it loads the plugin. */
declare module "openclaw/plugin-sdk/gateway-method-runtime" {
  import type { GatewayCall } from "./gateway-pause.ts";

  /** @throws Error outside of a request to an authenticated route of a plugin whose manifest has the contract for it */
  export const dispatchGatewayMethod: GatewayCall;
}
