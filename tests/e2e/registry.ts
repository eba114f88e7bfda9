import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** A real registry on a port of its own on loopback; `await using` ends it and removes what it stored. */
export interface Registry extends AsyncDisposable {
  /** `127.0.0.1:<port>` */
  readonly host: string;
  readonly url: string;
  /** folder with everything that was pushed */
  readonly storage: string;
  stop(): Promise<void>;
}

/** Starts Debian's docker-registry; it answers when this resolves. */
export async function startRegistry(): Promise<Registry> {
  const folder = await mkdtemp(join(tmpdir(), "aegis-registry-"));
  const host = `127.0.0.1:${await freePort()}`;
  const settings = {
    version: "0.1",
    log: { level: "info" },
    storage: { filesystem: { rootdirectory: join(folder, "data") }, delete: { enabled: true } },
    http: { addr: host },
  };
  await writeFile(join(folder, "config.yml"), JSON.stringify(settings));
  const server = spawn("docker-registry", ["serve", join(folder, "config.yml")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = once(server, "exit");
  const stop = async () => {
    server.kill("SIGKILL");
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  const said: string[] = [];
  const lines = createInterface(server.stderr);
  const listening = new Promise<void>((resolve) => {
    lines.on("line", (line) => (line.includes("listening on") ? resolve() : said.push(line)));
  });
  const started = await Promise.race([listening.then(() => true), exited.then(() => false)]);
  if (!started) {
    await stop();
    throw new Error(`docker-registry did not start: ${said.slice(-3).join(" | ")}`);
  }
  return { host, url: `http://${host}`, storage: join(folder, "data"), stop, [Symbol.asyncDispose]: stop };
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  if (address === null || typeof address === "string") throw new Error("no TCP port");
  return address.port;
}
