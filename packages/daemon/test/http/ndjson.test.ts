import { once } from "node:events";
import http from "node:http";
import { expect, it, onTestFinished } from "vitest";
import { daemonFixture, ndjson } from "../daemon-fixture.ts";

it("who follows what is quiet gets the head of the answer at once, and lines as they come", async () => {
  const fixture = await daemonFixture();
  const call = http.get({ socketPath: fixture.home.socket, path: "/v1/events", agent: false });
  onTestFinished(() => void call.destroy());
  const [answer] = (await once(call, "response")) as [http.IncomingMessage];
  expect(answer.statusCode).toBe(200);
  expect(answer.headers).toMatchObject({ "content-type": "application/x-ndjson", "cache-control": "no-store" });
  await fixture.call("POST", "/v1/instances", { handle: "first", command: ["sleep", "1000"] });
  const [chunk] = (await once(answer, "data")) as [Buffer];
  expect(ndjson(chunk.toString())[0]).toMatchObject({ type: "instance.created" });
});
