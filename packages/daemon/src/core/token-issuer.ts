import type { Capabilities } from "@aegis/protocol/capability";

/** Signs and checks the capability token of one boot of one instance. */
export interface TokenIssuer {
  /** at most an hour */
  readonly lifetimeMs: number;
  /** grows when the key changes: tokens of an earlier one are good for a moment only */
  readonly epoch: number;
  issue(instanceId: string, boot: number, grant: Capabilities): Promise<string>;
  /** False for a token of another instance or boot, an expired one, and one that was not signed here. */
  verify(token: string, instanceId: string, boot: number): Promise<boolean>;
}
