import { join } from "node:path";
import { EventLog } from "../../src/core/event-log.ts";
import { Keyring } from "../../src/secrets/keyring.ts";
import { SecretVault } from "../../src/secrets/secret-vault.ts";
import { openDatabase } from "../../src/store/database.ts";
import { SqliteStore } from "../../src/store/sqlite-store.ts";

// Changes the master key of the home in argv over and over, until it is killed. Says so each time.
const [folder = ""] = process.argv.slice(2);
const db = openDatabase(join(folder, "aegis.db"));
const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const keyring = new Keyring(join(folder, "master.key"), owner, db);
const vault = new SecretVault(db, keyring, new EventLog(new SqliteStore(db), () => undefined));
const again = (): void => {
  vault.rotateKey();
  process.stdout.write(".");
  setImmediate(again);
};
again();
