/** What the Bot API answers instead of a result. */
export class ApiError extends Error {
  readonly status: number;
  readonly retryAfterS: number | undefined;
  constructor(status: number, description: string, retryAfterS?: number) {
    super(description);
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}
