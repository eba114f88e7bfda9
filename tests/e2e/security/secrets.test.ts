import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { execFileSync } from "node:child_process";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { Canary, processesOf } from "../canary.ts";
import { isMicrovm } from "../driver-host.ts";
import { guestCall } from "../guest-call.ts";
import { hasEnded, textOf } from "../home-on-host.ts";

const WORKLOAD = ["sleep", "86399"];
const SPEC = { command: WORKLOAD, pause_after_idle_s: null, disk_mb: 64 };
const hasGcore = existsSync("/usr/bin/gcore");

describe("a secret", () => {
  let aegis: Aegis;
  let upstream: http.Server;
  let seen: string[];
  /** gets the first one in its environment; uses the second one through a binding; has nothing */
  let holder: string;
  let user: string;
  let stranger: string;
  let masterKey: Canary;
  const ofHolder = new Canary();
  const ofBinding = new Canary();
  const replaced = new Canary();
  const secrets = () => [ofHolder, ofBinding, replaced];
  const all = () => [...secrets(), masterKey];

  beforeAll(async () => {
    seen = [];
    upstream = http.createServer((request, response) => {
      seen.push(request.headers.authorization ?? "");
      response.end("done");
    });
    upstream.listen(0, "127.0.0.1");
    await once(upstream, "listening");
    const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
    aegis = await startAegis();
    const key = readFileSync(join(aegis.home, "data/master.key"), "utf8").trim();
    masterKey = new Canary(key, Buffer.from(key, "base64"));
    await aegis.client.secrets.put("HOLDERS", replaced.value);
    await aegis.client.secrets.put("HOLDERS", ofHolder.value);
    await aegis.client.secrets.put("BINDINGS", ofBinding.value);
    holder = (await aegis.boot({ ...SPEC, handle: "holder", secrets: ["MINE=HOLDERS"], workspace: "shared" })).id;
    const headers = { authorization: "Bearer ${secret:BINDINGS}" };
    user = (
      await aegis.boot({ ...SPEC, handle: "user", bindings: [{ name: "api", port: 8001, upstream: url, headers }] })
    ).id;
    stranger = (await aegis.boot({ ...SPEC, handle: "stranger" })).id;
    // everything that could leave a trace: uses, failures, logs, a restart of instance and daemon
    expect(await aegis.sh(user, "wget -q -O - http://127.0.0.1:8001/")).toBe("done");
    await aegis.client.instances.restart(holder);
    await aegis.restart();
    for (const id of [holder, user, stranger]) await aegis.reaches(id, "running");
    await aegis.sh(user, "wget -q -O - http://127.0.0.1:8001/");
  });
  afterAll(async () => {
    upstream.closeAllConnections();
    upstream.close();
    await aegis.stop();
  });

  // what a command prints is in the logs, as it should be: the value itself would be there too
  const hashSeenBy = (id: string) => aegis.sh(id, 'printf %s "$MINE" | sha256sum | cut -d" " -f1');
  const hashOf = ({ value }: Canary) => createHash("sha256").update(value).digest("hex");

  it("reaches whom it is for, and no other", async () => {
    expect(await hashSeenBy(holder)).toBe(hashOf(ofHolder));
    expect(new Set(seen)).toEqual(new Set([`Bearer ${ofBinding.value}`]));
    expect(await aegis.sh(stranger, "env")).not.toContain("canary");
  });

  it("is nowhere in the memory of an instance that uses it through a binding", () => {
    for (const id of [user, stranger]) {
      const found = processesOf(id).filter((pid) => ofBinding.isInMemoryOf(pid) || masterKey.isInMemoryOf(pid));
      expect([processesOf(id).length > 0, found]).toEqual([true, []]);
    }
    expect(processesOf(holder).filter((pid) => ofHolder.isInMemoryOf(pid))).not.toEqual([]);
  });

  it("is in no file of the home or of /run/aegis", () => {
    for (const canary of secrets()) expect(canary.inFolder(aegis.home)).toEqual([]);
    expect(masterKey.inFolder(aegis.home)).toEqual([join(aegis.home, "data/master.key")]);
    const run = join("/run/aegis", createHash("sha256").update(aegis.home).digest("hex").slice(0, 12));
    expect(readdirSync(run).toSorted()).toEqual(expect.arrayContaining([holder, user, stranger]));
    for (const canary of all()) expect(canary.inFolder(run)).toEqual([]);
  });

  it("is in no command line or environment but those of the workload that it is for", () => {
    // the workload of a virtual machine is no process of the host's
    expect(ofHolder.inProcesses()).toEqual(isMicrovm ? [] : [WORKLOAD.join(" ")]);
    for (const canary of [ofBinding, replaced, masterKey]) expect(canary.inProcesses()).toEqual([]);
  });

  it("is in no answer of the API, also when a call with it goes wrong", async () => {
    const value = ofHolder.value;
    const described = JSON.parse((await aegis.call("GET", "/openapi.json")).text) as { paths: Record<string, object> };
    const readable = Object.keys(described.paths).filter((path) => "get" in (described.paths[path] ?? {}));
    expect(readable).toEqual(expect.arrayContaining(["/v1/audit", "/v1/instances/{id}/logs"]));
    const paths = readable
      // events never end: they are read below
      .filter((path) => path !== "/v1/events")
      .flatMap((path) => [holder, user].map((id) => path.replace("{id}", id).replace("{name}", "HOLDERS")));
    const calls: [string, string, string?][] = [
      ...paths.map((path): [string, string] => ["GET", path]),
      ["PUT", "/v1/secrets/HOLDERS", `{"value": "${value}"}`],
      ["PUT", "/v1/secrets/HOLDERS", `{"value": ${value}}`],
      ["PUT", "/v1/secrets/HOLDERS", `{"value": ["${value}"]}`],
      ["PUT", "/v1/secrets/9", `{"value": "${value}"}`],
      ["POST", "/v1/instances", `{"handle": "holder", "command": ["true"], "secrets": ["HOLDERS"]}`],
      ["PUT", `/v1/instances/${holder}/secrets`, `{"secrets": ["MINE=HOLDERS"]}`],
    ];
    for (const [method, path, body] of calls) {
      const { text } = await aegis.call(method, path, body);
      expect([path, all().filter((canary) => canary.isIn(text)).length]).toEqual([path, 0]);
    }
    const quiet = new AbortController();
    for await (const event of aegis.client.events({ signal: quiet.signal })) {
      for (const canary of all()) expect(canary.isIn(JSON.stringify(event))).toBe(false);
      if (event.type === "secret.changed" && event.action === "set" && event.name === "LAST") break;
      if (event.seq === 1) await aegis.client.secrets.put("LAST", "x");
    }
    quiet.abort();
    for (const canary of secrets()) expect(canary.inFolder(aegis.home)).toEqual([]);
  });

  it("is not to be found by another instance", async () => {
    const find = `read -r c; find / -xdev -type f -exec grep -lF "$c" {} + ; grep -lF "$c" /proc/*/environ /run/aegis/* ; true`;
    for (const canary of secrets())
      for (const id of [user, stranger]) {
        const { stdout } = await aegis.exec(id, ["sh", "-c", find], { stdin: `${canary.value}\n` });
        expect(stdout).toBe("");
      }
    for (const path of ["/v1/self", "/v1/instances", `/v1/instances/${holder}`, "/v1/secrets"])
      for (const canary of all()) expect(canary.isIn((await guestCall(aegis, stranger, "GET", path)).text)).toBe(false);
  });

  it("is in no core file: neither the daemon nor an instance may leave one", async () => {
    const { pid } = await aegis.client.status();
    const processes = [pid, ...processesOf(holder)].map((one) => ({
      one,
      limits: textOf(`/proc/${one}/limits`),
      filter: textOf(`/proc/${one}/coredump_filter`),
    }));
    // of one that has ended just then the kernel has no limits any more
    const living = processes.filter(({ one }) => !hasEnded(one));
    expect(living.length).toBeGreaterThan(1);
    for (const { limits, filter } of living) {
      expect(limits).toMatch(/Max core file size\s+[01]\s+[01]\s/);
      expect(filter).toMatch(/^0+\n$/);
    }
  });

  it.runIf(hasGcore)("is not even in one that was made on purpose", async () => {
    const { pid } = await aegis.client.status();
    const folder = mkdtempSync("/tmp/aegis-core-");
    try {
      execFileSync("gcore", ["-o", join(folder, "core"), String(pid)], { stdio: "ignore" });
      for (const canary of all()) expect(canary.inFolder(folder)).toEqual([]);
      expect(readdirSync(folder)).toEqual([`core.${pid}`]);
    } finally {
      rmSync(folder, { recursive: true });
    }
    // it could have been
    expect(masterKey.isInMemoryOf(pid)).toBe(true);
  });

  it("outlives a change of the key, and so do the instances and their tokens", async () => {
    const spawnless = () => guestCall(aegis, holder, "GET", "/v1/self");
    await aegis.client.instances.pause(stranger);
    expect(await aegis.client.secrets.rotateKey()).toEqual({ secrets: 3 });
    const key = readFileSync(join(aegis.home, "data/master.key"), "utf8").trim();
    expect(key).not.toBe(masterKey.value);
    expect((await spawnless()).status).toBe(200);
    expect((await guestCall(aegis, stranger, "GET", "/v1/self")).status).toBe(200);
    expect(await aegis.sh(user, "wget -q -O - http://127.0.0.1:8001/")).toBe("done");
    await aegis.kill9();
    await aegis.start();
    expect(masterKey.inFolder(aegis.home)).toEqual([]);
    await aegis.client.instances.restart(holder);
    await aegis.reaches(holder, "running");
    expect(await hashSeenBy(holder)).toBe(hashOf(ofHolder));
    expect((await aegis.client.instances.get(user)).state).toBe("running");
    expect(await aegis.sh(user, "wget -q -O - http://127.0.0.1:8001/")).toBe("done");
    expect(new Set(seen)).toEqual(new Set([`Bearer ${ofBinding.value}`]));
  });
});
