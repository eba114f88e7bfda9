import { describe, expect, it } from "vitest";
import type { InstanceView } from "@aegis/protocol/instance";
import { daemonFixture } from "../daemon-fixture.ts";

const create = (body: object) => ({ command: ["sleep", "1000"], ...body });

describe("the size of an instance's disk", () => {
  it("is 10 GB unless said, and is what the backend is asked for", async () => {
    const fixture = await daemonFixture();
    const { body } = await fixture.call<{ id: string }>("POST", "/v1/instances", create({}));
    const usual = await fixture.reaches(body.id, "running");
    expect(usual).toMatchObject({ disk_mb: 10_240, stats: { disk_bytes: expect.any(Number) } });
    const said = await fixture.call<{ id: string }>("POST", "/v1/instances", create({ disk_mb: 64 }));
    await fixture.reaches(said.body.id, "running");
    expect(fixture.driver.machine(said.body.id)?.spec.diskMb).toBe(64);
  });

  it.each([63, 0, -1, 1.5, "64", null, 4_194_305])("is not %s", async (disk_mb) => {
    const { call } = await daemonFixture();
    const answer = await call("POST", "/v1/instances", create({ disk_mb }));
    expect(answer).toMatchObject({ status: 400, body: { error: expect.stringContaining("disk_mb") } });
  });

  it("grows, from the next boot on, and never shrinks", async () => {
    const fixture = await daemonFixture();
    const { body } = await fixture.call<{ id: string }>("POST", "/v1/instances", create({ disk_mb: 128 }));
    const { id } = await fixture.reaches(body.id, "running");
    const patch = (disk_mb: number) => fixture.call<InstanceView>("PATCH", `/v1/instances/${id}`, { disk_mb });
    expect(await patch(64)).toMatchObject({ status: 400, body: { error: expect.stringMatching(/only grow.*128/) } });
    expect((await fixture.get(id)).disk_mb).toBe(128);
    expect(await patch(256)).toMatchObject({ status: 200, body: { disk_mb: 256 } });
    await fixture.call("POST", `/v1/instances/${id}/restart`);
    await fixture.reaches(id, "running");
    expect(fixture.driver.machine(id)?.spec.diskMb).toBe(256);
    await fixture.call("PUT", `/v1/instances/${id}`, create({ disk_mb: 64 }));
    expect((await fixture.get(id)).disk_mb).toBe(256);
  });
});
