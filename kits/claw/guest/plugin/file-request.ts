import { GrowingBytes } from "@aegis/protocol/growing-bytes";

/** of one file, or of one folder's names; what is larger is declined */
export const MOST_BYTES = 4 * 1024 * 1024;
const LONGEST_LINE = 64;
const LINE = /^(\d{1,15}) (ok|absent|declined) (\d{1,8})$/;

export interface FileRequest {
  what: "identify" | "stat" | "read" | "list" | "write" | "write here" | "mkdir";
  /** in the sandbox */
  path: string;
  /** folders whose rules are other ones: everything in them is declined */
  others: string[];
  content?: Uint8Array;
}

/** Nothing was done where it is `declined`. What is in it is a guest's word. */
export interface FileAnswer {
  how: "ok" | "absent" | "declined";
  content: Buffer;
}

/** As `file-helper.py` reads it. */
export function fileRequest(number: string, { what, path, others, content = new Uint8Array(0) }: FileRequest): Buffer {
  const words = Buffer.from([number, what, path, ...others].map((word) => `${word}\0`).join(""));
  return Buffer.concat([Buffer.from(`${words.length} ${content.length}\n`), words, content]);
}

/** Takes answers apart as they arrive. */
export class FileAnswers {
  readonly #pending = new GrowingBytes();
  /** what must be there before it is worth looking again */
  #needed = 1;

  /** @throws Error for what is no answer */
  push(chunk: Uint8Array): ({ number: string } & FileAnswer)[] {
    this.#pending.append(chunk);
    if (this.#pending.length < this.#needed) return [];
    let rest = Buffer.from(this.#pending.take());
    const answers = [];
    for (let next = firstOf(rest); ; next = firstOf(rest)) {
      this.#needed = next.end;
      if (!("number" in next) || rest.length < next.end) break;
      const { number, how, start, end } = next;
      answers.push({ number, how, content: rest.subarray(start, end) });
      rest = rest.subarray(end);
    }
    this.#pending.append(rest);
    return answers;
  }
}

type Head = { number: string; how: FileAnswer["how"]; start: number; end: number };

/** @returns where it ends; of a line that is not there yet, one byte more than what is */
function firstOf(bytes: Buffer): Head | { end: number } {
  const length = bytes.subarray(0, LONGEST_LINE).indexOf("\n");
  if (length === -1 && bytes.length < LONGEST_LINE) return { end: bytes.length + 1 };
  const [, number, how, size] = LINE.exec(bytes.toString("latin1", 0, Math.max(length, 0))) ?? [];
  if (number === undefined || Number(size) > MOST_BYTES) throw new Error("the sandbox sent what is no answer");
  return { number, how: how as FileAnswer["how"], start: length + 1, end: length + 1 + Number(size) };
}
