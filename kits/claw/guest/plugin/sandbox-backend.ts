import type { ToolCall, ToolCallChange } from "./openclaw-api.ts";
import type { SandboxDesk } from "./sandbox-desk.ts";

/** as OpenClaw's config names it */
export const SANDBOX_BACKEND_ID = "aegis";
const WORKDIR = "/workspace";
const LABEL = "aegis";
/** The transport sees nothing else of the gateway's environment, which may hold a key. */
const TRANSPORT_ENV = { PATH: "/.aegis/bin:/usr/local/bin:/usr/bin:/bin" };
/** A terminal for the command, though the transport itself has a pipe. */
const WITH_TERMINAL =
  "import os,pty,sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(['/bin/sh','-c',sys.argv[1]])) & 255)";

interface Entry {
  containerName: string;
  image: string;
}

export interface BackendParams {
  scopeKey: string;
  runtimeId: string;
  /** @throws Error when OpenClaw has given the sandbox up */
  assertRuntimeCurrent: () => void;
}

export interface RemoteCommand {
  remoteCommand: string;
  tty?: boolean;
}

interface BackendOptions {
  backendId: string;
  runtimeId: string;
  configLabel: string;
  configLabelKind: string;
  /** a worktree that is there already: nothing is copied into it */
  preprovisionedWorkdir: { runtimeId: string; remoteWorkspaceDir: string };
  createSession: () => Promise<unknown>;
}

export interface SandboxRegistration {
  factory: (params: BackendParams) => Promise<unknown>;
  reserveRuntimeId: (params: { scopeKey: string }) => string;
  resolveWorkdir: () => string;
  manager: {
    describeRuntime: (params: {
      entry: Entry;
    }) => Promise<{ running: boolean; actualConfigLabel: string; configLabelMatch: boolean }>;
    removeRuntime: (params: { entry: Entry }) => Promise<void>;
  };
}

/** What `openclaw/plugin-sdk/sandbox` gives to a plugin. */
export interface SandboxSdk {
  registerSandboxBackend: (id: string, registration: SandboxRegistration) => () => void;
  createRemoteShellSandboxBackend: (params: BackendParams, options: BackendOptions) => Promise<unknown>;
  createRemoteShellSandboxSession: (options: {
    assertCurrent: () => void;
    buildCommand: (command: RemoteCommand) => { argv: string[]; env: Record<string, string> };
  }) => unknown;
  SandboxRuntimeRetiredError: new (runtimeId: string) => Error;
}

/** OpenClaw asks for a backend at every turn; the instance is made, and woken, only when a tool wants it. */
export function sandboxBackend(sdk: SandboxSdk, desk: () => SandboxDesk): SandboxRegistration {
  return {
    reserveRuntimeId: ({ scopeKey }) => desk().mint(scopeKey),
    resolveWorkdir: () => WORKDIR,
    factory: async (params) => {
      const { runtimeId, assertRuntimeCurrent } = params;
      if (await desk().isGone(runtimeId)) throw new sdk.SandboxRuntimeRetiredError(runtimeId);
      return await sdk.createRemoteShellSandboxBackend(params, {
        backendId: SANDBOX_BACKEND_ID,
        runtimeId,
        configLabel: LABEL,
        configLabelKind: "Instance",
        preprovisionedWorkdir: { runtimeId, remoteWorkspaceDir: WORKDIR },
        createSession: async () => {
          const id = await desk().ready(runtimeId);
          return sdk.createRemoteShellSandboxSession({
            assertCurrent: assertRuntimeCurrent,
            buildCommand: (command) => ({ argv: transport(id, command), env: TRANSPORT_ENV }),
          });
        },
      });
    },
    manager: {
      describeRuntime: async ({ entry }) => ({
        running: await desk().isRunning(entry.containerName),
        actualConfigLabel: entry.image,
        configLabelMatch: entry.image === LABEL,
      }),
      removeRuntime: ({ entry }) => desk().remove(entry.containerName),
    },
  };
}

/**
 * Whoever may talk to the bot may also say "/exec host=gateway", which would run commands beside the bot's state. OpenClaw
 * refuses a call whose place is not the one that is set, so with this one such a session has no `exec` rather than that one.
 */
export function sandboxedCall({ toolName, params }: ToolCall): ToolCallChange | undefined {
  return toolName === "exec" ? { params: { ...params, host: "sandbox", elevated: false } } : undefined;
}

/** The local command that carries a shell command to the sandbox: its input, its output and its exit code. */
function transport(id: string, { remoteCommand, tty }: RemoteCommand): string[] {
  const command = tty === true ? ["python3", "-c", WITH_TERMINAL, remoteCommand] : ["/bin/sh", "-c", remoteCommand];
  return ["aegis-guest", "exec", "-i", id, "--", ...command];
}
