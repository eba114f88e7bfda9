import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { InstanceView } from "../../../packages/protocol/src/instance.ts";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { IMAGES } from "../fixture-images.ts";

const FOREVER = ["sleep", "infinity"];
const MAY_SPAWN = {
  spawn: true,
  spawn_depth: 1,
  max_children: 4,
  allowed_images: ["test/*"],
  allowed_workspaces: ["*"],
  max_memory_mb: 128,
  max_vcpus: 1,
  max_expose_ports: 2,
};

describe("aegis-guest in an instance", () => {
  let aegis: Aegis;
  beforeAll(async () => {
    aegis = await startAegis({ images: ["busybox", "bare", "glibc"] });
  });
  afterAll(() => aegis.stop());
  afterEach(async () => {
    for (const { id, parent_id } of await aegis.client.instances.list())
      if (parent_id === null) await aegis.client.instances.delete(id);
  });
  const bootParent = (more: object = {}) =>
    aegis.boot({ command: FOREVER, handle: "parent", memory_mb: 256, capabilities: MAY_SPAWN, ...more });

  it.each([
    ["busybox", FOREVER],
    ["glibc", FOREVER],
    ["bare", ["/busybox", "sleep", "infinity"]],
  ] as const)("is on PATH in the %s image, shell or not", async (image, command) => {
    const { id } = await aegis.boot({ command: [...command], image_ref: IMAGES[image], handle: "me" });
    const self = await aegis.exec(id, ["aegis-guest", "self", "--json"]);
    expect(JSON.parse(self.stdout)).toMatchObject({ id, handle: "me", state: "running" });
    expect((await aegis.exec(id, ["aegis-guest", "--help"])).stdout).toContain("aegis-guest spawn");
  });

  it("lets a shell script do a whole job in a child", async () => {
    const { id } = await bootParent();
    const script = `set -e
      child=$(aegis-guest spawn --name job --image ${IMAGES.busybox} --memory 64m --workspace job -- sh -c 'echo working; sleep infinity')
      aegis-guest ls | grep -q '^job'
      echo data | aegis-guest cp - job:in/put
      printf 'more\\n' > /tmp/file && chmod 755 /tmp/file && aegis-guest cp /tmp/file job:in/
      aegis-guest exec $child -- sh -c 'cat in/put; test -x in/file && echo result > out'
      aegis-guest cp job:/workspace/out -
      aegis-guest logs job --tail 5 | grep -q working
      set +e; aegis-guest exec job -- sh -c 'echo err >&2; exit 9'; echo "exec $?"
      aegis-guest exec job -- nosuchthing 2>/dev/null; echo "missing $?"
      echo typed | aegis-guest exec -i job -- sh -c 'read a; echo "got $a"'
      aegis-guest stop job; aegis-guest start job; aegis-guest info job --json | grep -q '"state":"running"' && echo again
      aegis-guest delete job; aegis-guest info job; echo "gone $?"`;
    const { code, stdout, stderr } = await aegis.exec(id, ["sh", "-c", script]);
    expect({ code, stdout: stdout.split("\n"), stderr }).toEqual({
      code: 0,
      stdout: [
        "job:in/put",
        "job:in/file",
        "data",
        "result",
        "exec 9",
        "missing 127",
        "got typed",
        "stopped job",
        "running job",
        "again",
        "deleted job",
        "gone 1",
      ],
      stderr: expect.stringMatching(/^err\naegis-guest: There is no instance job/m),
    });
  });

  it("waits for a child and ends with its exit code", async () => {
    const { id } = await bootParent();
    const spawn = `aegis-guest spawn --name job --image ${IMAGES.busybox} --memory 64m --no-wait --`;
    expect(
      await aegis.exec(id, ["sh", "-c", `${spawn} sh -c 'sleep 0.3; exit 5' && aegis-guest wait job`]),
    ).toMatchObject({ code: 5 });
    await aegis.exec(id, ["aegis-guest", "delete", "job"]);
    const late = await aegis.exec(id, ["sh", "-c", `${spawn} sleep 100; aegis-guest wait job --timeout 0.2s`]);
    expect([late.code, late.stderr]).toEqual([124, expect.stringContaining("has not ended")]);
  });

  it("prints all of a long output, and ends with a reader who has enough", async () => {
    const { id } = await bootParent();
    const script = `aegis-guest spawn --name job --image ${IMAGES.busybox} --memory 64m -- sleep infinity > /dev/null
      aegis-guest exec job -- head -c 3000000 /dev/zero | wc -c
      aegis-guest exec job -- sh -c 'while :; do echo line; done' | head -n 1; sleep 0.1
      head -c 2000000 /dev/zero | aegis-guest exec -i job -- wc -c`;
    expect((await aegis.sh(id, script)).split("\n")).toEqual(["3000000", "line", "2000000"]);
  });

  it("tells a command each time that its input has ended", async () => {
    const { id } = await bootParent();
    const script = `aegis-guest spawn --name job --image ${IMAGES.busybox} --memory 64m -- sleep infinity > /dev/null
      for n in $(seq 25); do head -c 1000000 /dev/zero | aegis-guest exec -i job -- wc -c; done`;
    expect((await aegis.sh(id, script)).split("\n")).toEqual(Array.from({ length: 25 }, () => "1000000"));
  });

  it("says what was wrong, also as JSON, with an exit code of its own", async () => {
    const { id } = await aegis.boot({ command: FOREVER });
    const refused = await aegis.exec(id, ["aegis-guest", "spawn", "--json", "--", "true"]);
    expect([refused.code, JSON.parse(refused.stdout)]).toEqual([
      1,
      { code: "capability_refused", error: expect.any(String) },
    ]);
    expect(await aegis.exec(id, ["aegis-guest", "spawn", "--nope"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("aegis-guest spawn --help"),
    });
    const outside = await aegis.exec(id, ["aegis-guest", "self"], { env: { AEGIS_GUEST_SOCKET: "/nowhere" } });
    expect([outside.code, outside.stderr]).toEqual([1, expect.stringContaining("inside of an Aegis instance")]);
  });

  it("stays awake, opens ports and restarts for the instance itself", async () => {
    const { id } = await aegis.boot({ command: FOREVER, capabilities: { max_expose_ports: 1 } });
    const lease = await aegis.exec(id, ["aegis-guest", "keepalive", "--for", "1m", "--reason", "thinking"]);
    expect(lease.stdout).toMatch(/^lease-/);
    await aegis.exec(id, ["aegis-guest", "keepalive", "--for", "1m"]);
    expect(await aegis.client.instances.get(id)).toMatchObject({
      leases: [{ reason: "thinking" }, { reason: "working" }],
    });
    await aegis.exec(id, ["aegis-guest", "keepalive", "--release", lease.stdout]);
    expect(await aegis.client.instances.get(id)).toMatchObject({ leases: [{ reason: "working" }] });
    expect((await aegis.exec(id, ["aegis-guest", "expose", "8080"])).stdout).toMatch(/^http:/);
    expect(await aegis.client.instances.get(id)).toMatchObject({ expose_ports: [8080] });
    expect((await aegis.exec(id, ["aegis-guest", "unexpose", "8080"])).code).toBe(0);
    expect(await aegis.client.instances.get(id)).toMatchObject({ expose_ports: [] });
    // the restart may take the command away before it has said that it is done
    await aegis.exec(id, ["aegis-guest", "restart"]).catch(() => undefined);
    const restarted = ({ power_history }: InstanceView) => power_history?.at(-1)?.reason === "restarted by request";
    await aegis.until(id, (instance) => instance.state === "running" && restarted(instance));
  });

  it("gives a terminal and forwards Ctrl-C to a child's command", async () => {
    const { id } = await bootParent();
    await aegis.exec(id, [
      "aegis-guest",
      "spawn",
      "--name",
      "job",
      "--image",
      IMAGES.busybox,
      "--memory",
      "64m",
      "--",
      ...FOREVER,
    ]);
    const command = [
      "aegis-guest",
      "exec",
      "-it",
      "job",
      "--",
      "sh",
      "-c",
      "trap 'echo caught; exit 3' INT; tty; while :; do sleep 0.1; done",
    ];
    const session = await aegis.client.instances.execInteractive(id, {
      command,
      tty: true,
      size: { cols: 80, rows: 24 },
    });
    let seen = "";
    let code: number | null = null;
    for await (const output of session.output()) {
      if (output.kind === "exit") code = output.exit.code;
      else seen += Buffer.from(output.bytes).toString();
      if (seen.includes("/dev/pts/") && !seen.includes("^C")) await session.write(Buffer.from("\u0003"));
    }
    expect(seen).toContain("caught");
    expect(code).toBe(3);
  });
});
