import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { EventLog } from "../../src/core/event-log.ts";
import { JwtIssuer } from "../../src/secrets/jwt-issuer.ts";
import { KeyFile } from "../../src/secrets/key-file.ts";
import { Keyring } from "../../src/secrets/keyring.ts";
import { SecretVault } from "../../src/secrets/secret-vault.ts";
import { openDatabase } from "../../src/store/database.ts";
import { SqliteStore } from "../../src/store/sqlite-store.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

function openVault(folder = temporaryFolder()) {
  const db = openDatabase(join(folder, "aegis.db"));
  const close = () => {
    if (db.isOpen) db.close();
  };
  onTestFinished(close);
  const keyring = new Keyring(join(folder, "master.key"), owner, db);
  const vault = new SecretVault(db, keyring, new EventLog(new SqliteStore(db), () => undefined));
  return { folder, db, keyring, vault, close };
}

describe("SecretVault", () => {
  it("reveals what was put, replaces and deletes", () => {
    const { vault } = openVault();
    vault.put("KEY", "one");
    vault.put("KEY", "two ☃");
    expect(vault.reveal("KEY")).toBe("two ☃");
    expect(vault.names()).toEqual(["KEY"]);
    vault.delete("KEY");
    expect(() => vault.reveal("KEY")).toThrow(expect.objectContaining({ code: "secret_not_found" }));
    expect(() => vault.delete("KEY")).toThrow(expect.objectContaining({ code: "secret_not_found" }));
  });

  it("leaves no trace of a value on disk", () => {
    const { folder, vault } = openVault();
    vault.put("KEY", "canary-6f1d");
    for (const file of ["aegis.db", "aegis.db-wal", "master.key"]) {
      expect(readFileSync(join(folder, file)).includes("canary-6f1d")).toBe(false);
    }
  });

  it("notices rows that were swapped", () => {
    const { vault, db } = openVault();
    vault.put("A", "one");
    vault.put("B", "two");
    db.exec(
      "UPDATE secret SET nonce = (SELECT nonce FROM secret WHERE name = 'B'), sealed = (SELECT sealed FROM secret WHERE name = 'B')",
    );
    expect(() => vault.reveal("A")).toThrow(expect.objectContaining({ code: "internal" }));
  });

  it("seals the same value differently each time", () => {
    const { vault, db } = openVault();
    for (const name of ["A", "B", "C"]) vault.put(name, "same");
    vault.put("A", "same");
    const rows = db.prepare("SELECT nonce, sealed FROM secret").all();
    for (const column of ["nonce", "sealed"])
      expect(new Set(rows.map((row) => Buffer.from(row[column] as Uint8Array).toString("hex"))).size).toBe(3);
  });

  it.each(["", "1A", "a b", "../x", "x".repeat(129)])("refuses the name %j", (name) => {
    expect(() => openVault().vault.put(name, "v")).toThrow(expect.objectContaining({ code: "invalid_request" }));
  });
});

describe("a change of the master key", () => {
  const sealedOf = (db: ReturnType<typeof openVault>["db"]) =>
    Buffer.from(db.prepare("SELECT sealed FROM secret WHERE name = 'KEY'").get()?.["sealed"] as Uint8Array);

  it("seals everything anew and leaves nothing of the old on disk", () => {
    const { folder, vault, db, keyring } = openVault();
    vault.put("KEY", "one");
    vault.put("OTHER", "two");
    const old = {
      key: readFileSync(join(folder, "master.key")),
      sealed: sealedOf(db),
      tokens: keyring.key.derive("tokens"),
    };
    expect(vault.rotateKey()).toBe(2);
    expect([vault.reveal("KEY"), vault.reveal("OTHER")]).toEqual(["one", "two"]);
    expect(keyring.key.derive("tokens")).not.toEqual(old.tokens);
    expect(readdirSync(folder).filter((name) => name.startsWith("master"))).toEqual(["master.key"]);
    expect(statSync(join(folder, "master.key")).mode & 0o777).toBe(0o600);
    for (const file of readdirSync(folder)) {
      const bytes = readFileSync(join(folder, file));
      expect([file, bytes.includes(old.key.subarray(0, 40)), bytes.includes(old.sealed)]).toEqual([file, false, false]);
    }
  });

  it("is undone when it fails, and says which secret is in the way", () => {
    const { folder, vault, db } = openVault();
    vault.put("A", "one");
    vault.put("B", "two");
    db.exec("UPDATE secret SET sealed = zeroblob(40) WHERE name = 'B'");
    const before = readFileSync(join(folder, "master.key"));
    expect(() => vault.rotateKey()).toThrow(/secret B cannot be decrypted/);
    expect(readFileSync(join(folder, "master.key"))).toEqual(before);
    expect(vault.reveal("A")).toBe("one");
  });

  it("is undone when the database takes nothing", () => {
    const { folder, vault, db } = openVault();
    vault.put("KEY", "one");
    db.exec("CREATE TRIGGER full BEFORE INSERT ON master_key BEGIN SELECT RAISE(ABORT, 'no room'); END");
    expect(() => vault.rotateKey()).toThrow(/no room/);
    expect(vault.reveal("KEY")).toBe("one");
    expect(readdirSync(folder)).not.toContain("master.key.next");
    db.exec("DROP TRIGGER full");
    vault.rotateKey();
    expect(vault.reveal("KEY")).toBe("one");
  });

  it("leaves a readable store wherever it is cut short", () => {
    const { folder, vault, close } = openVault();
    vault.put("KEY", "one");
    const key = join(folder, "master.key");
    // before the transaction: the next key is there and is not the one
    new KeyFile(`${key}.next`, owner).create();
    const before = readFileSync(key);
    close();
    const second = openVault(folder);
    expect(second.vault.reveal("KEY")).toBe("one");
    expect(readFileSync(key)).toEqual(before);
    // after it: the database says that the next key is the one, and the file still has its first name
    second.vault.rotateKey();
    const after = readFileSync(key);
    second.close();
    writeFileSync(`${key}.next`, after, { mode: 0o600 });
    writeFileSync(key, before);
    const third = openVault(folder);
    expect(third.vault.reveal("KEY")).toBe("one");
    expect(readFileSync(key)).toEqual(after);
    expect(readdirSync(folder)).not.toContain("master.key.next");
  });
});

describe("a daemon that is killed while it changes the master key", () => {
  it("leaves a store that opens, each time", { timeout: 60_000 }, async () => {
    const folder = temporaryFolder();
    const first = openVault(folder);
    for (let i = 0; i < 50; i += 1) first.vault.put(`KEY_${i}`, `value ${i}`);
    first.close();
    for (let round = 0; round < 5; round += 1) {
      const child = spawn(process.execPath, [fileURLToPath(new URL("rotating-child.ts", import.meta.url)), folder], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      await once(child.stdout, "data");
      // anywhere in the changes that follow
      await delay(round * 7);
      child.kill("SIGKILL");
      await once(child, "close");
      const { vault, close } = openVault(folder);
      expect(vault.names()).toHaveLength(50);
      for (const name of vault.names()) expect(vault.reveal(name)).toBe(name.replace("KEY_", "value "));
      expect(readdirSync(folder)).not.toContain("master.key.next");
      close();
    }
  });
});

describe("the key file", () => {
  it("is made once, for its owner only", () => {
    const { folder, keyring, close } = openVault();
    expect(statSync(join(folder, "master.key")).mode & 0o777).toBe(0o600);
    close();
    expect(openVault(folder).keyring.key.derive("secrets")).toEqual(keyring.key.derive("secrets"));
    expect(keyring.key.derive("tokens")).not.toEqual(keyring.key.derive("secrets"));
  });

  it("is refused when it is damaged, a link, open to others or another user's", () => {
    const file = join(temporaryFolder(), "master.key");
    const read = () => new KeyFile(file, owner).read();
    writeFileSync(file, "c2hvcnQ=", { mode: 0o600 });
    expect(read).toThrow(/damaged/);
    chmodSync(file, 0o644);
    expect(read).toThrow(/chmod 600/);
    chmodSync(file, 0o600);
    symlinkSync(file, `${file}.link`);
    expect(() => new KeyFile(`${file}.link`, owner).read()).toThrow(/ELOOP/);
  });

  it.runIf(owner.uid === 0)("is refused when it is another user's", () => {
    const file = join(temporaryFolder(), "master.key");
    new KeyFile(file, owner).create();
    chownSync(file, 65_534, 65_534);
    expect(() => new KeyFile(file, owner).read()).toThrow(/belongs to another user/);
  });
});

describe("JwtIssuer", () => {
  const issuer = new JwtIssuer(Buffer.alloc(32, 1));

  it("accepts its own token for that instance and boot only", async () => {
    const token = await issuer.issue("inst-a", 2, { spawn: true });
    expect(await issuer.verify(token, "inst-a", 2)).toBe(true);
    expect(await issuer.verify(token, "inst-b", 2)).toBe(false);
    expect(await issuer.verify(token, "inst-a", 3)).toBe(false);
    expect(await new JwtIssuer(Buffer.alloc(32, 2)).verify(token, "inst-a", 2)).toBe(false);
    expect(await issuer.verify(`${token}x`, "inst-a", 2)).toBe(false);
    expect(await issuer.verify("", "inst-a", 2)).toBe(false);
  });

  it("takes tokens of the last key for a moment, and of one before it not at all", async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const changing = new JwtIssuer(Buffer.alloc(32, 1));
    const first = await changing.issue("inst-a", 1, {});
    changing.rekey(Buffer.alloc(32, 2));
    expect(changing.epoch).toBe(1);
    const second = await changing.issue("inst-a", 1, {});
    expect(await changing.verify(first, "inst-a", 1)).toBe(true);
    vi.advanceTimersByTime(60_000);
    expect(await changing.verify(first, "inst-a", 1)).toBe(false);
    expect(await changing.verify(second, "inst-a", 1)).toBe(true);
    changing.rekey(Buffer.alloc(32, 3));
    changing.rekey(Buffer.alloc(32, 4));
    expect(await changing.verify(second, "inst-a", 1)).toBe(false);
  });
});
