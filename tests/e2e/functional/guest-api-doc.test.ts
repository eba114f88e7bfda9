import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CreateInstance, InstanceView } from "../../../packages/protocol/src/instance.ts";
import { startAegis, type Aegis } from "../aegis-fixture.ts";

const doc = readFileSync(new URL("../../../docs/guest-api.md", import.meta.url), "utf8");

/** Each call with its example, in the order of the document. */
const examples = [...doc.matchAll(/^### `(\w+) (\S+)`\n(.*?)(?=^#)/gms)].map(
  ([, method = "", path = "", text = ""]) => ({
    call: `${method} ${path}`,
    script: /^```sh\n(.*?)^```/ms.exec(text)?.[1] ?? "",
  }),
);
const RESTART = "POST /v1/self/restart";
const created = JSON.parse(/^```json\n(.*?)^```/ms.exec(doc)?.[1] ?? "") as CreateInstance;

describe("docs/guest-api.md", () => {
  let aegis: Aegis;
  let id: string;
  beforeAll(async () => {
    aegis = await startAegis({ images: ["curl"] });
    id = (await aegis.boot({ ...created, command: ["sleep", "infinity"], memory_mb: 256 })).id;
  });
  afterAll(() => aegis.stop());

  it("has every call of the API, and no other", async () => {
    // output comes by lines, and one this long in several
    const text = (await aegis.sh(id, "curl -sSf $AEGIS_GUEST_API/openapi.json")).replaceAll("\n", "");
    const { paths } = JSON.parse(text) as { paths: Record<string, object> };
    const calls = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(examples.map(({ call }) => call).sort()).toEqual(calls.sort());
    expect(aegis.log()).not.toContain("has no description");
  });

  /** It ends the example too, so all that is seen is that it happens. */
  async function restarts(script: string): Promise<void> {
    await aegis.exec(id, ["sh", "-c", script]).catch(() => undefined);
    const said = ({ power_history }: InstanceView) =>
      power_history?.some(({ reason }) => reason === "restarted by request");
    await aegis.until(id, (instance) => instance.state === "running" && said(instance) === true);
  }

  it.each(examples)("$call: its example runs", async ({ call, script }) => {
    expect(script).toContain("curl");
    if (call === RESTART) return restarts(script);
    const ran = await aegis.exec(id, ["sh", "-c", `set -e\n${script}`]);
    expect({ call, code: ran.code, stderr: ran.stderr }).toMatchObject({ call, code: 0 });
    if (!call.startsWith("DELETE")) expect(ran.stdout).not.toBe("");
  });
});
