import type { StreamErrorCode } from "@aegis/protocol/control";

/** Something the host asked for that cannot be done; goes back to it as a reply, with its code. */
export class GuestError extends Error {
  override readonly name = "GuestError";
  readonly code: StreamErrorCode;

  constructor(code: StreamErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** `ENOENT` and the like, or null. */
export function errnoOf(thrown: unknown): string | null {
  if (thrown instanceof Error && "code" in thrown && typeof thrown.code === "string") return thrown.code;
  return null;
}
