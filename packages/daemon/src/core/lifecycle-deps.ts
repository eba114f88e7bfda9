import type { HarnessNotifications } from "@aegis/protocol/control";
import type { BootDeps } from "./boot.ts";
import type { ReverseStream } from "./harness.ts";
import type { Logs } from "./logs.ts";
import type { TokenIssuer } from "./token-issuer.ts";

/** What the life of one instance needs of the world around it. */
export interface LifecycleDeps extends BootDeps {
  logs: Logs;
  tokens: TokenIssuer;
  /** seals what a hibernated machine leaves on disk; another one after a change of the home's key */
  snapshotKey: () => Uint8Array;
  /** a process inside opened a stream to the Guest API or a binding, and its token was good */
  onStream: (request: HarnessNotifications["stream.open"], reverse: ReverseStream) => Promise<void>;
  warn: (message: string) => void;
  /** changes with every boot of the host */
  hostBoot: string;
  /** a boot is over, and all that its processes had asked for */
  onBootOver: () => void;
  /** its machine cannot be ended, and is of no use any more: who waits in it would wait for ever */
  onStranded: () => void;
  /** @throws AegisError when the instance may not run now */
  checkStart: () => void;
  /** as {@link Workspaces} take it; null: it has none. @throws AegisError `invalid_path` */
  workspace: () => string | null;
  /** its end is that of others below it */
  takesAlong: () => boolean;
  /** the instance has become stopped or failed */
  onDown: () => void;
}
