import * as clack from "@clack/prompts";
import type { Readable, Writable } from "node:stream";
import { AegisError } from "@aegis/protocol/errors";

/** The terminal that questions are asked on. */
export interface Terminal {
  input: Readable;
  output: Writable;
}

export interface Choice<T extends string> {
  value: T;
  label: string;
  hint?: string;
}

/** Questions to a person. Each throws AegisError when it is left with Ctrl-C: then nothing has been changed. */
export class Ask {
  readonly #terminal: Terminal;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  say(text: string): void {
    clack.log.message(text, this.#terminal);
  }

  problem(text: string): void {
    clack.log.error(text, this.#terminal);
  }

  async choose<T extends string>(message: string, options: Choice<T>[], initialValue: T): Promise<T> {
    // the library's type of an option depends on what T is
    const choices = options as Parameters<typeof clack.select<string>>[0]["options"];
    const picked = answered(await clack.select<string>({ message, options: choices, initialValue, ...this.#terminal }));
    return options.find(({ value }) => value === picked)?.value ?? initialValue;
  }

  /** @param known what an empty answer means; shown */
  async text(message: string, known: string | undefined, check: (text: string) => string | undefined): Promise<string> {
    const answer = await clack.text({
      message,
      ...(known === undefined ? {} : { placeholder: known, defaultValue: known }),
      validate: (text) => check(text?.trim() || (known ?? "")),
      ...this.#terminal,
    });
    return answered(answer).trim() || (known ?? "");
  }

  /** @param known what an empty answer means; never shown */
  async secret(
    message: string,
    known: string | undefined,
    check: (text: string) => string | undefined,
  ): Promise<string> {
    const answer = await clack.password({
      message: known === undefined ? message : `${message} (Enter keeps the present one)`,
      validate: (text) => check(text?.trim() || (known ?? "")),
      ...this.#terminal,
    });
    return answered(answer).trim() || (known ?? "");
  }

  async confirm(message: string): Promise<boolean> {
    return answered(await clack.confirm({ message, ...this.#terminal }));
  }

  async waitFor<T>(message: string, work: () => Promise<T>, done: (result: T) => string): Promise<T> {
    const spinner = clack.spinner({ output: this.#terminal.output });
    spinner.start(message);
    try {
      const result = await work();
      spinner.stop(done(result));
      return result;
    } catch (error) {
      spinner.error(message);
      throw error;
    }
  }
}

function answered<T>(answer: T | typeof clack.CANCEL_SYMBOL): T {
  if (answer !== clack.CANCEL_SYMBOL) return answer;
  throw new AegisError("invalid_request", "Nothing was changed.");
}
