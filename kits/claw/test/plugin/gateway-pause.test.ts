import { expect, test } from "vitest";
import { type GatewayAnswer, type GatewayCall, GatewayPause } from "../../guest/plugin/gateway-pause.ts";

const READY = { ok: true, payload: { status: "ready", suspensionId: "s-1", blockers: [] } };
const RESUMED = { ok: true, payload: { ok: true, status: "running", resumed: true } };
const ALL = ["cron.status", "gateway.suspend.prepare", "yes", "still", "gateway.suspend.resume"];

/** The gateway of a bot, asked once. */
async function asked(answers: Record<string, GatewayAnswer>, schedule: object = { enabled: true, jobs: 0 }) {
  const seen: string[] = [];
  const given: Record<string, GatewayAnswer> = {
    "cron.status": { ok: true, payload: schedule },
    "gateway.suspend.resume": RESUMED,
    ...answers,
  };
  const params: object[] = [];
  const call: GatewayCall = (method, what) => {
    seen.push(method);
    params.push(what);
    return Promise.resolve(given[method] ?? { ok: false });
  };
  const pause = new GatewayPause(call, () => seen.push("still"));
  let answer: unknown;
  const turns = () => seen.push("a turn of the event loop");
  let next = setImmediate(turns);
  const said = pause.ask((what) => {
    answer = what;
    seen.push("busy" in what ? "no" : "yes");
    clearImmediate(next);
    next = setImmediate(turns);
    return Promise.resolve();
  });
  const error = await said.then(
    () => null,
    (reason: unknown) => String(reason),
  );
  clearImmediate(next);
  return { answer, seen, params, error };
}

const inMs = (ms: number) => Date.now() + ms;

test("an idle gateway agrees, stands still, and goes on before anything else happens", async () => {
  const { answer, seen, params } = await asked({ "gateway.suspend.prepare": READY });
  expect(answer).toEqual({});
  expect(seen).toEqual(ALL);
  expect(params).toEqual([{}, { requestId: "aegis-pause" }, { suspensionId: "s-1" }]);
});

test("a gateway with a job ahead says when to wake it, and how long it takes to boot", async () => {
  const nextWakeAtMs = inMs(60_000);
  const { answer } = await asked({ "gateway.suspend.prepare": READY }, { enabled: true, nextWakeAtMs });
  expect(answer).toEqual({ wake_at: new Date(nextWakeAtMs - 5000).toISOString(), boot_lead_s: 90 });
});

test.each([[10_000], [0], [-60_000]])("one whose job is due in %i ms stays awake for it", async (ms) => {
  const { answer, seen } = await asked({ "gateway.suspend.prepare": READY }, { enabled: true, nextWakeAtMs: inMs(ms) });
  expect(answer).toEqual({ busy: true, reason: "a scheduled job is due" });
  expect(seen).toEqual(["cron.status", "no"]);
});

test("a scheduler that is switched off wakes nobody", async () => {
  const { answer } = await asked({ "gateway.suspend.prepare": READY }, { enabled: false, nextWakeAtMs: inMs(10_000) });
  expect(answer).toEqual({});
});

test("a busy one says with what, and is not held up", async () => {
  const blockers = [{ kind: "root-request", count: 1, message: "1 active request" }];
  const prepared = { ok: true, payload: { status: "busy", reason: "active-work", blockers } };
  const { answer, seen } = await asked({ "gateway.suspend.prepare": prepared });
  expect(answer).toEqual({ busy: true, reason: "1 active request" });
  expect(seen).toEqual(["cron.status", "gateway.suspend.prepare", "no"]);
});

test("a refusal is a no, with what was refused", async () => {
  const refused = { ok: false, error: { code: "UNAVAILABLE" } };
  const { answer } = await asked({ "gateway.suspend.prepare": refused });
  expect(answer).toEqual({
    busy: true,
    reason: 'the gateway refused gateway.suspend.prepare: {"code":"UNAVAILABLE"}',
  });
});

test("one that does not go on is told of", async () => {
  const refused = { ok: false, error: { code: "INVALID_REQUEST" } };
  const { seen, error } = await asked({ "gateway.suspend.prepare": READY, "gateway.suspend.resume": refused });
  expect(seen).toEqual(ALL);
  expect(error).toContain("gateway.suspend.resume");
});
