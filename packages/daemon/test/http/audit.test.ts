import http from "node:http";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import type { AuditEntry, AuditVerdict } from "@aegis/protocol/audit";
import type { DaemonStatus } from "@aegis/protocol/status";
import { daemonFixture, ndjson } from "../daemon-fixture.ts";
import type { DaemonFixture } from "../daemon-fixture.ts";

const SECRET = "hunter2";

async function entries(fixture: DaemonFixture, query = ""): Promise<AuditEntry[]> {
  return ndjson((await fixture.call("GET", `/v1/audit${query}`)).text) as unknown as AuditEntry[];
}

const told = (all: AuditEntry[]) => all.map(({ action, target, decision }) => [action, target, decision]);

describe("what the local user does", () => {
  it("is written with its target, its end and the reason", async () => {
    const fixture = await daemonFixture();
    const { call } = fixture;
    await call("PUT", "/v1/secrets/KEY", { value: SECRET });
    const body = {
      handle: "web",
      command: ["sleep", "1000", SECRET],
      secrets: ["KEY", "ALIAS=KEY"],
      env: { A: SECRET },
    };
    const { id } = (await call<{ id: string }>("POST", "/v1/instances", body)).body;
    await fixture.reaches(id, "running");
    await call("POST", "/v1/instances", body);
    await call("POST", "/v1/instances/web/exec", { command: ["echo", SECRET, "again"] });
    await call("POST", "/v1/instances/web/expose", { port: 80 });
    await call("POST", "/v1/instances/web/lease", { ttl_ms: 1000, reason: "no matter" });
    await call("DELETE", "/v1/instances/web/expose/80");
    await call("PATCH", "/v1/instances/web", { pause_after_idle_s: 5 });
    await call("PUT", "/v1/instances/web/secrets", { secrets: [] });
    await call("POST", "/v1/instances/web/stop");
    await call("POST", "/v1/instances/nobody/stop");
    await call("GET", "/v1/instances/web");
    await call("DELETE", "/v1/instances/web");
    await call("DELETE", "/v1/secrets/KEY");
    const all = await entries(fixture);
    const host = { kind: "host", uid: process.getuid?.() ?? 0 };
    expect(told(all.filter(({ actor }) => actor.kind === "host"))).toEqual([
      ["secret.set", "KEY", "allowed"],
      ["instance.create", id, "allowed"],
      ["instance.create", "web", "failed"],
      ["instance.exec", id, "allowed"],
      ["instance.expose", id, "allowed"],
      ["instance.unexpose", id, "allowed"],
      ["instance.update", id, "allowed"],
      ["secret.assign", id, "allowed"],
      ["instance.stop", id, "allowed"],
      ["instance.stop", "nobody", "failed"],
      ["instance.delete", id, "allowed"],
      ["secret.delete", "KEY", "allowed"],
    ]);
    expect(all[0]).toMatchObject({ actor: { kind: "daemon" }, action: "daemon.start", seq: 1 });
    expect(all.find(({ target }) => target === "nobody")).toMatchObject({
      actor: host,
      reason: expect.stringContaining("no instance nobody"),
    });
    expect(all.find(({ action }) => action === "instance.exec")?.detail).toBe("echo and 2 arguments");
    const uses = all.filter(({ action }) => action === "secret.use");
    expect(uses.map(({ actor, target, detail }) => ({ actor, target, detail }))).toEqual(
      ["KEY", "ALIAS"].map((variable) => ({
        actor: { kind: "instance", instance_id: id, handle: "web", boot: 1 },
        target: "KEY",
        detail: `environment variable ${variable}`,
      })),
    );
    expect(JSON.stringify(all)).not.toContain(SECRET);
  });

  it("does not quote a request that may hold a secret", async () => {
    const fixture = await daemonFixture();
    const broken = [`{"value": ${SECRET}}`, `{"value": "x"} ${SECRET}`, { [SECRET]: "x" }, { value: [SECRET] }];
    for (const body of broken) expect((await fixture.call("PUT", "/v1/secrets/KEY", body)).status).toBe(400);
    const answer = await fixture.call("POST", "/v1/instances", `{"env": {"A": ${SECRET}}}`);
    expect(answer.text).not.toContain(SECRET);
    const all = await entries(fixture);
    expect(all.filter(({ decision }) => decision === "failed")).toHaveLength(5);
    expect(JSON.stringify(all)).not.toContain(SECRET);
  });

  it("is found by instance, action, decision, number and time", async () => {
    const fixture = await daemonFixture();
    const { id } = (await fixture.call<{ id: string }>("POST", "/v1/instances", { handle: "a", command: ["true"] }))
      .body;
    await fixture.call("POST", "/v1/instances/zz/stop");
    expect(told(await entries(fixture, "?instance=a"))).toEqual([["instance.create", id, "allowed"]]);
    expect(told(await entries(fixture, "?decision=failed"))).toEqual([["instance.stop", "zz", "failed"]]);
    expect(told(await entries(fixture, "?action=instance.stop"))).toEqual([["instance.stop", "zz", "failed"]]);
    expect(told(await entries(fixture, "?limit=1"))).toEqual([["instance.stop", "zz", "failed"]]);
    expect(told(await entries(fixture, "?since_seq=2"))).toEqual([["instance.stop", "zz", "failed"]]);
    expect(await entries(fixture, "?since=2999-01-01T00:00:00Z")).toEqual([]);
    for (const query of ["?action=dance", "?decision=maybe", "?since=never", "?limit=x", "?limit=10001"])
      expect((await fixture.call("GET", `/v1/audit${query}`)).status).toBe(400);
  });

  it("is followed as it happens, and the log says that it is whole", async () => {
    const fixture = await daemonFixture();
    const following = http.get({ socketPath: fixture.home.socket, path: "/v1/audit?follow=true&action=secret.set" });
    const [answer] = (await once(following, "response")) as [http.IncomingMessage];
    await fixture.call("PUT", "/v1/secrets/KEY", { value: SECRET });
    const [line] = (await once(answer, "data")) as [Buffer];
    following.destroy();
    expect(JSON.parse(line.toString())).toMatchObject({ action: "secret.set", target: "KEY" });
    const { body } = await fixture.call<AuditVerdict>("GET", "/v1/audit/verify");
    expect(body).toMatchObject({ entries: 2, broken: null });
    const status = await fixture.call<DaemonStatus>("GET", "/v1/status");
    expect(status.body.audit).toEqual({ last_seq: 2, problem: null, lost: 0 });
  });

  it("goes on where the last daemon ended", async () => {
    const first = await daemonFixture();
    await first.call("PUT", "/v1/secrets/KEY", { value: SECRET });
    await first.daemon.close(false);
    const second = await daemonFixture(first);
    expect((await entries(second)).map(({ seq, action }) => [seq, action])).toEqual([
      [1, "daemon.start"],
      [2, "secret.set"],
      [3, "daemon.start"],
    ]);
  });
});

it("every call that changes something has a name in the audit log", async () => {
  const { warnings } = await daemonFixture();
  expect(warnings.filter((warning) => warning.includes("in the audit log"))).toEqual([]);
});

describe("the router", () => {
  it("tells of a request for a name that is none of ours", async () => {
    const fixture = await daemonFixture();
    const { router_port: port } = (await fixture.call<DaemonStatus>("GET", "/v1/status")).body;
    const asked = http.get({ port: port ?? 0, host: "127.0.0.1", headers: { host: "evil.example" }, agent: false });
    const [answer] = (await once(asked, "response")) as [http.IncomingMessage];
    answer.resume();
    await once(answer, "end");
    expect((await entries(fixture)).at(-1)).toMatchObject({
      action: "router.request",
      target: "evil.example",
      decision: "refused",
    });
  });
});
