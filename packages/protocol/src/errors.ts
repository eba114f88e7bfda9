/** Every error code that crosses a process boundary, with its HTTP status. A new code cannot lack a status. */
export const statusOf = {
  invalid_request: 400,
  invalid_json: 400,
  unknown_field: 400,
  command_not_found: 400,
  command_not_executable: 400,
  invalid_path: 400,
  user_not_available: 400,
  unauthorized: 401,
  forbidden: 403,
  instance_not_found: 404,
  image_not_found: 404,
  secret_not_found: 404,
  lease_not_found: 404,
  endpoint_not_found: 404,
  kit_not_found: 404,
  file_not_found: 404,
  not_found: 404,
  wrong_state: 409,
  handle_taken: 409,
  port_taken: 409,
  image_in_use: 409,
  stale_boot: 409,
  snapshot_unusable: 409,
  instance_deleted: 410,
  too_large: 413,
  capability_refused: 422,
  quota_exceeded: 429,
  internal: 500,
  driver_failed: 502,
  image_invalid: 502,
  registry_failed: 502,
  guest_unreachable: 502,
  unavailable: 503,
  disk_full: 507,
} as const satisfies Record<string, number>;

export type ErrorCode = keyof typeof statusOf;

export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(statusOf, code);

/** The body of every error answer, on the host API and the Guest API alike. */
export interface ErrorBody {
  /** What happened, why, and how to fix it, in one or two sentences. */
  error: string;
  code: ErrorCode;
  /** of a `capability_refused`: the field of the grant that does not allow it */
  capability?: string;
}

/** The one error type that is meant for the person at the other end. Anything else that is thrown is a defect of ours. */
export class AegisError extends Error {
  override readonly name = "AegisError";
  readonly code: ErrorCode;

  /** @param message what happened, why, and how to fix it; never contains a secret */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  get status(): number {
    return statusOf[this.code];
  }

  toBody(): ErrorBody {
    return { error: this.message, code: this.code };
  }

  static fromBody(body: { error: string; code: string }): AegisError {
    return new AegisError(isErrorCode(body.code) ? body.code : "internal", body.error);
  }
}

/** What a shell says of a command that could not be started; null where the failure is another one. */
export function shellExitCode(code: ErrorCode): 126 | 127 | null {
  if (code === "command_not_found") return 127;
  return code === "command_not_executable" ? 126 : null;
}

/** `Retry-After` of a 503, in seconds. */
export const RETRY_AFTER_S = 3;

/** The message of whatever was thrown. */
export const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));
