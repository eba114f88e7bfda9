import { expect, it } from "vitest";
import { daemonFixture } from "../daemon-fixture.ts";

interface Operation {
  summary: string;
  operationId: string;
  parameters: { name: string; in: string }[];
  requestBody?: { content: Record<string, { schema?: { properties?: object } }> };
  responses: Record<string, unknown>;
}
interface Description {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
}

it("describes every call of the host API, with the schemas that check it", async () => {
  const daemon = await daemonFixture();
  const { body, status } = await daemon.call<Description>("GET", "/openapi.json");
  expect([status, body.openapi]).toEqual([200, "3.1.0"]);
  const operations = Object.entries(body.paths).flatMap(([path, methods]) =>
    Object.values(methods).map((operation) => ({ path, ...operation })),
  );
  expect(operations.length).toBeGreaterThan(35);
  for (const { path, summary, responses, parameters } of operations) {
    expect([path, summary]).toEqual([path, expect.stringMatching(/\w/)]);
    expect(Object.keys(responses)).toHaveLength(2);
    const named = parameters.filter((one) => one.in === "path").map(({ name }) => `{${name}}`);
    expect(path.match(/\{\w+\}/g) ?? []).toEqual(named);
  }
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
  const create = body.paths["/v1/instances"]?.["post"]?.requestBody?.content["application/json"]?.schema?.properties;
  expect(create).toMatchObject({ command: { type: "array" }, memory_mb: { minimum: 16 } });
  expect(body.paths["/v1/images/{ref}"]).toHaveProperty("delete");
  // a route without a description is a warning at the start
  expect(daemon.warnings).toEqual([]);
});

it("has numbers for Prometheus", async () => {
  const daemon = await daemonFixture();
  const { id } = (
    await daemon.call<{ id: string }>("POST", "/v1/instances", { handle: "a", command: ["sleep", "1000"] })
  ).body;
  await daemon.reaches(id, "running");
  await daemon.call("POST", `/v1/instances/${id}/pause`);
  await daemon.call("POST", `/v1/instances/${id}/resume`);
  const { text } = await daemon.call("GET", "/metrics");
  const value = (name: string) =>
    Number(
      text
        .split("\n")
        .find((line) => line.startsWith(`${name} `))
        ?.split(" ")[1],
    );
  expect(value('aegis_instances{state="running"}')).toBe(1);
  expect(value('aegis_instances{state="failed"}')).toBe(0);
  expect(value("aegis_instance_boots_total")).toBe(1);
  expect(value("aegis_instance_wakes_total")).toBe(1);
  expect(value("aegis_instance_pauses_total")).toBe(1);
  expect(value("aegis_daemon_resident_memory_bytes")).toBeGreaterThan(1e6);
  expect(value('aegis_instance_memory_bytes{instance="a"}')).not.toBeNaN();
  for (const line of text.trim().split("\n"))
    expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{\w+="[\w.-]+"\})? [\d.e+]+)$/);
});
