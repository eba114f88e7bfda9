import type { OutputStream } from "../cli.ts";

/** One line that is written over on a terminal; elsewhere a line for each new message. */
export class ProgressLine {
  readonly #stream: OutputStream;
  readonly #silent: boolean;
  #message = "";
  #open = false;

  constructor(stream: OutputStream, silent: boolean) {
    this.#stream = stream;
    this.#silent = silent;
  }

  show(message: string, amount: string): void {
    if (this.#silent) return;
    if (this.#stream.isTTY === true) this.#overwrite(amount === "" ? message : `${message}  ${amount}`);
    else if (message !== this.#message) this.#stream.write(`${message}\n`);
    this.#message = message;
  }

  /** Leaves the terminal with the line gone. */
  end(): void {
    if (this.#open) this.#stream.write("\r\u001b[K");
    this.#open = false;
  }

  #overwrite(text: string): void {
    const room = (this.#stream.columns ?? 80) - 1;
    this.#stream.write(`\r\u001b[K${text.slice(0, room)}`);
    this.#open = true;
  }
}
