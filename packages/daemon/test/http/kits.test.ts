import { expect, it } from "vitest";
import { daemonFixture } from "../daemon-fixture.ts";

it("tells the kits of this clone: what each is called, runs and can do", async () => {
  const daemon = await daemonFixture();
  expect(await daemon.call("GET", "/v1/kits")).toMatchObject({
    status: 200,
    body: [
      {
        name: "claw",
        summary: expect.stringContaining("OpenClaw"),
        instances: ["claw-bot"],
        commands: { up: expect.any(String) },
      },
    ],
  });
  expect(daemon.warnings).toEqual([]);
});
