/** Named values that never come out of the API. */
export interface Secrets {
  names(): string[];
  put(name: string, value: string): void;
  /** @throws AegisError `secret_not_found` */
  delete(name: string): void;
  /** @throws AegisError `secret_not_found` that names it and says how to set it */
  reveal(name: string): string;
}
