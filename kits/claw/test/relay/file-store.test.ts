import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openDatabase } from "../../src/relay/database.ts";
import { FileStore } from "../../src/relay/local/file-store.ts";
import { MessageStore } from "../../src/relay/local/message-store.ts";
import { Settings } from "../../src/relay/settings.ts";

let stateDir: string;
let db: ReturnType<typeof openDatabase>;
let messages: MessageStore;

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), "files-"));
  db = openDatabase(stateDir);
  messages = new MessageStore(db, new Settings(db));
});

afterEach(() => {
  db.close();
  rmSync(stateDir, { recursive: true, force: true });
});

const upload = (name: string, size: number) => ({ name, type: "text/html", bytes: Buffer.alloc(size) });

test("files take no more space than they may", async () => {
  const files = new FileStore(stateDir, messages, 100);
  await files.keep(upload("a", 60), "document");
  await expect(files.keep(upload("b", 60), "document")).rejects.toThrow(/used up their space/);
  await files.keep(upload("c", 40), "document");
  expect(messages.fileBytes).toBe(100);
  expect(readdirSync(join(stateDir, "files"))).toHaveLength(2);
});

test("a name never becomes a path", async () => {
  const files = new FileStore(stateDir, messages);
  const file = await files.keep(upload("../../etc/passwd\u0000\n", 1), "photo");
  expect(file).toMatchObject({ name: ".._.._etc_passwd_", kind: "document" });
  expect(files.path(file)).toBe(join(stateDir, "files", file.id));
  expect(files.find("../relay.sqlite")).toBeNull();
});
