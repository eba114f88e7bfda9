import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BotApiError } from "../bot-api/answer.ts";
import type { Upload } from "../bot-api/read-parameters.ts";
import type { ChatFile } from "./chat-message.ts";
import type { MessageStore } from "./message-store.ts";

const startsWith = (bytes: Buffer, ...prefix: number[]): boolean => prefix.every((byte, i) => bytes[i] === byte);

/** What a picture says that it is, whatever its name claims; null for all that a browser should not draw. */
function pictureType(bytes: Buffer): string | null {
  if (startsWith(bytes, 0x89, 0x50, 0x4e, 0x47)) return "image/png";
  if (startsWith(bytes, 0xff, 0xd8, 0xff)) return "image/jpeg";
  if (startsWith(bytes, 0x47, 0x49, 0x46, 0x38)) return "image/gif";
  if (bytes.toString("latin1", 0, 4) === "RIFF" && bytes.toString("latin1", 8, 12) === "WEBP") return "image/webp";
  return null;
}

const claimedType = (type: string): string =>
  /^[\w.+-]+\/[\w.+-]+/.exec(type)?.[0].toLowerCase() ?? "application/octet-stream";

const bareName = (name: string): string => name.replaceAll(/[^\p{L}\p{N}._ -]+/gu, "_").slice(-120) || "file";

/** The bytes behind the chat's files; a file's name on disk is its id and nothing that somebody sent. */
export class FileStore {
  readonly #folder: string;
  readonly #messages: MessageStore;
  readonly #mostBytes: number;

  constructor(stateDir: string, messages: MessageStore, mostBytes = 1024 ** 3) {
    this.#mostBytes = mostBytes;
    this.#folder = join(stateDir, "files");
    this.#messages = messages;
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
  }

  /**
   * Keeps an upload. It is a photo only when its bytes are those of a picture.
   * @throws BotApiError 413 when the files would take more than they may
   */
  async keep(upload: Upload, wanted: ChatFile["kind"]): Promise<ChatFile> {
    if (this.#messages.fileBytes + upload.bytes.length > this.#mostBytes) {
      throw new BotApiError(413, "Request Entity Too Large: the files of this chat have used up their space");
    }
    const picture = pictureType(upload.bytes);
    const file: ChatFile = {
      id: randomBytes(16).toString("base64url"),
      kind: wanted === "photo" && picture !== null ? "photo" : "document",
      name: bareName(upload.name),
      type: picture ?? claimedType(upload.type),
      size: upload.bytes.length,
    };
    await writeFile(this.path(file), upload.bytes, { mode: 0o600, flag: "wx" });
    this.#messages.addFile(file);
    return file;
  }

  find(id: string): ChatFile | null {
    return this.#messages.file(id);
  }

  path(file: ChatFile): string {
    return join(this.#folder, file.id);
  }
}
