import type { ToolCall, ToolCallChange } from "./openclaw-api.ts";
import { FileHelpers } from "./file-helper.ts";
import type { SandboxDesk } from "./sandbox-desk.ts";
import { type FilesBridge, quickFiles } from "./sandbox-files.ts";
import { SentFiles } from "./sent-files.ts";
import { type SandboxSession, sandboxSession } from "./sandbox-session.ts";

/** as OpenClaw's config names it */
export const SANDBOX_BACKEND_ID = "aegis";
const WORKDIR = "/workspace";
const LABEL = "aegis";
const HARMLESS_PLACES = ["sandbox", "auto"];
interface Entry {
  containerName: string;
  image: string;
}

export interface BackendParams {
  scopeKey: string;
  runtimeId: string;
  /** of the agent, in the bot */
  workspaceDir: string;
  /** @throws Error when OpenClaw has given the sandbox up */
  assertRuntimeCurrent: () => void;
}

/** OpenClaw's; it has more than is named here. */
interface Backend {
  /** @returns the folder without links; null when it cannot be used */
  validateWorkdir: (path: string) => Promise<string | null>;
  createFsBridge: (of: { sandbox: SandboxContext }) => FilesBridge;
}

/** What a turn has of it. */
interface SandboxContext {
  workspaceAccess: "rw" | "ro" | "none";
}

interface BackendOptions {
  backendId: string;
  runtimeId: string;
  configLabel: string;
  configLabelKind: string;
  /** a worktree that is there already: nothing is copied into it */
  preprovisionedWorkdir: { runtimeId: string; remoteWorkspaceDir: string };
  createSession: () => Promise<SandboxSession>;
}

export interface SandboxRegistration {
  factory: (params: BackendParams) => Promise<Backend>;
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
  createRemoteShellSandboxBackend: (params: BackendParams, options: BackendOptions) => Promise<Backend>;
  SandboxRuntimeRetiredError: new (runtimeId: string) => Error;
}

/**
 * OpenClaw asks for a backend at every turn; the instance is made, and woken, only when a tool wants it.
 * @param guestApi `AEGIS_GUEST_API`
 */
export function sandboxBackend(sdk: SandboxSdk, guestApi: string, desk: () => SandboxDesk): SandboxRegistration {
  const sentFiles = new SentFiles();
  const fileHelpers = new FileHelpers(guestApi, WORKDIR);
  return {
    reserveRuntimeId: ({ scopeKey }) => desk().mint(scopeKey),
    resolveWorkdir: () => WORKDIR,
    factory: async (params) => {
      const { scopeKey, runtimeId, workspaceDir: botWorkspace, assertRuntimeCurrent: assertCurrent } = params;
      if (await desk().isGone(runtimeId)) throw new sdk.SandboxRuntimeRetiredError(runtimeId);
      desk().belongsTo(scopeKey, runtimeId);
      const backend = await sdk.createRemoteShellSandboxBackend(params, {
        backendId: SANDBOX_BACKEND_ID,
        runtimeId,
        configLabel: LABEL,
        configLabelKind: "Instance",
        preprovisionedWorkdir: { runtimeId, remoteWorkspaceDir: WORKDIR },
        createSession: async () => {
          const wake = () => desk().ready(runtimeId);
          const id = desk().known(runtimeId) ?? (await wake());
          return sandboxSession({ guestApi, id, assertCurrent, wake, botWorkspace, workdir: WORKDIR, sentFiles });
        },
      });
      const { validateWorkdir, createFsBridge } = backend;
      return {
        ...backend,
        // it is a mount, which nothing inside can replace: to look whether it is there would be a command more for each one
        validateWorkdir: async (path) => (path === WORKDIR ? path : await validateWorkdir(path)),
        createFsBridge: (of) => {
          const files = createFsBridge(of);
          if (of.sandbox.workspaceAccess !== "rw") return files;
          return quickFiles(files, WORKDIR, async (request, signal) => {
            assertCurrent();
            const id = desk().known(runtimeId);
            return id === null ? null : await fileHelpers.ask(id, request, signal);
          });
        },
      };
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
 * @param setPlace what the person has set for the session
 */
export function sandboxedCall({ toolName, params }: ToolCall, setPlace?: string): ToolCallChange | undefined {
  if (toolName !== "exec") return undefined;
  if (setPlace === undefined || HARMLESS_PLACES.includes(setPlace))
    return { params: { ...params, host: "sandbox", elevated: false } };
  return {
    block: true,
    blockReason: `No command was run: somebody has said /exec host=${setPlace} in this chat, and commands of this bot run in its sandbox only. Tell the user to send this message to have them back: /exec host=sandbox`,
  };
}
