import { readFileSync, rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { alteredVm, vmScript } from "./altered-vm.ts";

const FOREVER = ["sleep", "infinity"];
const MAX_GROWTH_KB = 32 * 1024;
/** of one processor */
const MAX_SHARE = 0.5;
const TICKS_PER_S = 100;
const CONNECTED = "03";

/**
 * What root of the virtual machine does beside the scripts that keep it: the command that the instance puts into /flood.
 * Descriptor 5 leads to the agent's end on the host, 6 to that of the harness.
 */
const FLOOD = `
while :; do
  if read -r command < /bundle/rootfs/flood; then
    rm /bundle/rootfs/flood
    sh -c "$command" > /dev/null &
  fi
  sleep 1
done 2> /dev/null &
`;

/** Virtual machines as they are, but for what they do beside. */
function hostileVm(): string {
  const script = vmScript("main.sh")
    .replace('exec 5<> "$host"', 'exec 5<> "$host" 6<> "$harness"')
    .replace('3<> "$harness"', "3<&6")
    .replace("ip link set eth0", () => `${FLOOD}ip link set eth0`);
  expect(script).toContain(FLOOD);
  expect(script).toContain("3<&6");
  return alteredVm({ "main.sh": script });
}

describe("a virtual machine whose root is hostile", () => {
  const vmDir = hostileVm();
  let aegis: Aegis;
  let neighbour: string;
  let hostile: string;

  beforeAll(async () => {
    aegis = await startAegis({ env: { AEGIS_DRIVER: "microvm", AEGIS_VM_DIR: vmDir } });
    const boots = [{}, { workspace: "work" }].map((more) =>
      aegis.boot({ command: FOREVER, pause_after_idle_s: null, ...more }),
    );
    [neighbour = "", hostile = ""] = (await Promise.all(boots)).map(({ id }) => id);
  });
  afterAll(async () => {
    await aegis?.stop();
    rmSync(vmDir, { recursive: true, force: true });
  });

  /** @returns what the daemon takes of the host: memory now, and processor time so far */
  async function daemonUsage(): Promise<{ residentKb: number; seconds: number; at: number }> {
    const { pid } = await aegis.client.status();
    const residentKb = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
    const [user = 0, system = 0] = (readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1] ?? "")
      .split(" ")
      .slice(11, 13)
      .map(Number);
    return { residentKb, seconds: (user + system) / TICKS_PER_S, at: performance.now() };
  }

  /** Watches the daemon while something goes on, and a neighbour that is asked again and again. */
  async function expectBounded(during: () => Promise<unknown>): Promise<void> {
    const before = await daemonUsage();
    let isOver = false;
    const over = during().finally(() => {
      isOver = true;
    });
    while (!isOver) expect(await aegis.sh(neighbour, "sleep 1; echo here")).toBe("here");
    await over;
    const after = await daemonUsage();
    expect(after.residentKb - before.residentKb).toBeLessThan(MAX_GROWTH_KB);
    expect((after.seconds - before.seconds) / ((after.at - before.at) / 1000)).toBeLessThan(MAX_SHARE);
  }

  const flood = (command: string): Promise<string> =>
    aegis.sh(hostile, `echo '${command}' > /flood.new; mv /flood.new /flood`);

  /** Whether the daemon is at the other end of one of the virtual machine's ports. */
  const isListenedTo = (port: "agent" | "harness"): boolean => {
    const sockets = readFileSync("/proc/net/unix", "utf8").split("\n");
    return sockets.some((line) => line.includes(`/${hostile}/${port}.sock`) && line.split(" ")[5] === CONNECTED);
  };

  it("is listened to no more when it sends zeros to the host's agent without end", async () => {
    expect(isListenedTo("agent")).toBe(true);
    await expectBounded(async () => {
      await flood("cat /dev/zero >&5");
      await expect.poll(() => isListenedTo("agent")).toBe(false);
    });
    expect(await aegis.sh(hostile, "echo here")).toBe("here");
  });

  it("fills the log of its kernel, which nobody on the host reads", async () => {
    const messages =
      "for n in $(busybox seq 3000); do echo flood $n > /dev/kmsg; done; echo done > /bundle/rootfs/done";
    await expectBounded(async () => {
      await flood(messages);
      await aegis.sh(hostile, "until [ -s /done ]; do sleep 0.2; done");
    });
  });

  it("floods its workspace with files and requests", async () => {
    const files = "for i in $(seq 100); do echo $i > $i; cat $i; ls; mv $i moved; rm moved; done > /dev/null";
    const everywhere = `for d in a b c d; do (mkdir -p /workspace/$d; cd /workspace/$d; ${files}) & done; wait`;
    await expectBounded(() => aegis.sh(hostile, everywhere));
  });

  it("is ended when it sends zeros where the harness's streams are", async () => {
    await expectBounded(async () => {
      // the harness has the port so that who cannot write at once is told so
      await flood("while :; do cat /dev/zero >&6; done");
      await aegis.until(hostile, ({ state }) => state !== "running");
    });
    expect(await aegis.client.instances.get(hostile)).toMatchObject({ state: "failed" });
    await aegis.client.instances.delete(hostile);
    expect(await aegis.sh(neighbour, "echo here")).toBe("here");
  });
});
