/** The part of OpenClaw's sandbox API (2026.9) that this plugin uses; OpenClaw resolves the import when it loads the plugin. */
declare module "openclaw/plugin-sdk/sandbox" {
  import type { SandboxSdk } from "./sandbox-backend.ts";

  export const registerSandboxBackend: SandboxSdk["registerSandboxBackend"];
  export const createRemoteShellSandboxBackend: SandboxSdk["createRemoteShellSandboxBackend"];
  export const SandboxRuntimeRetiredError: SandboxSdk["SandboxRuntimeRetiredError"];
}
