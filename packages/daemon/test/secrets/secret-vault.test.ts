import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { EventLog } from "../../src/core/event-log.ts";
import { JwtIssuer } from "../../src/secrets/jwt-issuer.ts";
import { MasterKey } from "../../src/secrets/master-key.ts";
import { SecretVault } from "../../src/secrets/secret-vault.ts";
import { openDatabase } from "../../src/store/database.ts";
import { SqliteStore } from "../../src/store/sqlite-store.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

function openVault(folder = temporaryFolder()) {
  const db = openDatabase(join(folder, "aegis.db"));
  onTestFinished(() => db.close());
  const key = MasterKey.open(join(folder, "master.key"), owner);
  return {
    folder,
    db,
    vault: new SecretVault(db, key.derive("secrets"), new EventLog(new SqliteStore(db), () => undefined)),
  };
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

  it.each(["", "1A", "a b", "../x", "x".repeat(129)])("refuses the name %j", (name) => {
    expect(() => openVault().vault.put(name, "v")).toThrow(expect.objectContaining({ code: "invalid_request" }));
  });
});

describe("MasterKey", () => {
  it("is made once, for its owner only", () => {
    const file = join(temporaryFolder(), "master.key");
    const first = MasterKey.open(file, owner);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(MasterKey.open(file, owner).derive("secrets")).toEqual(first.derive("secrets"));
    expect(first.derive("tokens")).not.toEqual(first.derive("secrets"));
  });

  it("refuses a file that others can read, and a damaged one", () => {
    const file = join(temporaryFolder(), "master.key");
    writeFileSync(file, "c2hvcnQ=", { mode: 0o600 });
    expect(() => MasterKey.open(file, owner)).toThrow(/damaged/);
    chmodSync(file, 0o644);
    expect(() => MasterKey.open(file, owner)).toThrow(/chmod 600/);
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
});
