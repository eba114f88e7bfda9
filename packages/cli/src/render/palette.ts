import { styleText } from "node:util";
import type { Env } from "@aegis/sdk/aegis-home";

/** Colours for people: only on a terminal, and not where NO_COLOR says no. */
export class Palette {
  readonly #on: boolean;

  constructor(stream: { isTTY?: boolean }, env: Env) {
    this.#on = stream.isTTY === true && !env["NO_COLOR"] && env["TERM"] !== "dumb";
  }

  bold = (text: string) => this.#style("bold", text);
  dim = (text: string) => this.#style("dim", text);
  red = (text: string) => this.#style("red", text);
  green = (text: string) => this.#style("green", text);
  yellow = (text: string) => this.#style("yellow", text);
  blue = (text: string) => this.#style("blue", text);

  #style(format: "bold" | "dim" | "red" | "green" | "yellow" | "blue", text: string): string {
    return this.#on ? styleText(format, text, { validateStream: false }) : text;
  }
}
