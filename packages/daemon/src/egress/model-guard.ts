import { JsonScanner } from "./json-scanner.ts";
import { Refused } from "./refused.ts";
import { checkModel } from "./request-path.ts";

/** Reads which model the body of a request asks for, while it is on its way. */
export class ModelGuard {
  readonly #scanner: JsonScanner;
  #seen = false;

  constructor(models: readonly string[]) {
    this.#scanner = new JsonScanner(["model"], (_path, json) => {
      this.#seen = true;
      checkModel(models, modelName(json));
    });
  }

  /** @throws Refused for a model that is not allowed, and for what is not JSON */
  push(chunk: Uint8Array): void {
    this.#scanner.push(chunk);
    if (this.#scanner.broken) throw unreadable();
  }

  /** To be called before the last byte is sent on. @throws Refused when no model was named */
  finish(): void {
    if (!this.#scanner.complete) throw unreadable();
    if (!this.#seen)
      throw new Refused("malformed", 'The body names no "model". This binding lets certain models through only.');
  }
}

function modelName(json: string | null): string {
  try {
    const name: unknown = JSON.parse(json ?? "");
    if (typeof name === "string") return name;
  } catch {
    throw unreadable();
  }
  throw new Refused("malformed", '"model" is to be the name of a model.');
}

const unreadable = (): Refused =>
  new Refused(
    "malformed",
    "The body is not one JSON object in UTF-8. This binding lets certain models through only, so it has to be.",
  );
