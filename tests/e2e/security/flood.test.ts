import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Aegis, startAegis } from "../aegis-fixture.ts";
import { cgroupFile } from "../cgroup-file.ts";

let aegis: Aegis;
beforeAll(async () => {
  aegis = await startAegis();
});
afterAll(() => aegis.stop());

const CALLS = 30;
const PATIENCE_MS = 60_000;
/** What the daemon may take beside what it took before: buffers, and what the collector leaves lying, most of it of logs. */
const MAX_GROWTH_KB = 24 * 1024;
const MAX_GROWTH_BY_LOGS_KB = 64 * 1024;

/** What shows that an attack has got going: what it logs, or what the kernel counts of it. */
type Proof = RegExp | { v2: string; v1: string; says: RegExp };

async function isGoing(id: string, proof: Proof): Promise<boolean> {
  if (!(proof instanceof RegExp)) return proof.says.test(cgroupFile(aegis.home, id, proof));
  // one that takes its own harness what that needs has got far enough
  if ((await aegis.client.instances.get(id)).state === "failed") return true;
  const lines = await Array.fromAsync(aegis.client.instances.logs(id, { tail: 200 }));
  return proof.test(lines.map(({ line }) => line).join("\n"));
}

/** Runs an attack in one instance while a neighbour and the API are asked, again and again: each answers. */
async function besides(command: string[], proof: Proof): Promise<number> {
  const { pid } = await aegis.client.status();
  const residentKb = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  const neighbour = await aegis.boot({ command: ["sleep", "infinity"] });
  const before = residentKb();
  const attacker = await aegis.boot({ command, pause_after_idle_s: null, memory_mb: 128 });
  await expect.poll(() => isGoing(attacker.id, proof), { timeout: PATIENCE_MS }).toBe(true);
  let slowestMs = 0;
  let mostKb = before;
  for (let call = 0; call < CALLS; call++) {
    const start = performance.now();
    expect(await aegis.sh(neighbour.id, `echo ${call}`)).toBe(String(call));
    expect((await aegis.client.status()).status).toBe("running");
    slowestMs = Math.max(slowestMs, performance.now() - start);
    mostKb = Math.max(mostKb, residentKb());
  }
  await aegis.client.instances.delete(attacker.id);
  await aegis.client.instances.delete(neighbour.id);
  process.stdout.write(
    `${command.join(" ").slice(0, 60)}: neighbour's slowest answer ${slowestMs.toFixed(0)} ms, daemon +${mostKb - before} kB\n`,
  );
  return mostKb - before;
}

const DESCRIPTORS =
  'i=10; while [ $i -lt 4000 ]; do eval "exec $i</dev/null"; i=$((i+1)); done; echo $(ls /proc/$$/fd | wc -l) open; sleep 600';
const CALLER = "while :; do nc 127.0.0.1 7777 < /dev/zero; head -c 9000 /dev/zero | nc 127.0.0.1 7777 | head -1; done";
const SILENT = `i=0; while [ $i -lt 400 ]; do nc 127.0.0.1 7777 < /dev/ptmx > /dev/null & i=$((i+1)); done
  while :; do echo $(grep -c "0100007F:1E61 01" /proc/net/tcp) connections; sleep 1; done`;

/** of a second of computing, at least */
const BUSY: Proof = { v2: "cpu.stat", v1: "cpuacct.usage", says: /^usage_usec \d{7}|^\d{10}/ };

it.each<[string, string[], Proof]>([
  ["floods its log", ["yes", "x".repeat(200)], /(x{200}\n){100}/],
  ["floods its log without a line break", ["sh", "-c", "cat /dev/zero"], BUSY],
  ["forks without end", ["sh", "-c", "f() { f | f & }; while :; do f; done"], /can't fork/],
  ["takes all memory, again and again", ["sh", "-c", "while :; do tail /dev/zero; done"], /(Killed\n[^]*){2}/],
  [
    "fills its disk",
    ["sh", "-c", "while :; do dd if=/dev/zero of=/root/x bs=1M count=200; rm /root/x; done"],
    /(200\+0 records out[^]*){2}/,
  ],
  ["opens descriptors without end", ["sh", "-c", DESCRIPTORS], /[34]\d{3} open/],
  [
    "sends the Guest API garbage without end",
    ["sh", "-c", `for i in 1 2 3 4; do ${CALLER} & done; wait`],
    /(HTTP\/1\.1 400[^]*){20}/,
  ],
  ["opens connections to the Guest API and says nothing", ["sh", "-c", SILENT], /(1[2-9]|[2-9]\d)\d connections/],
])("an instance that %s leaves its neighbour and the API at work", async (_, command, proof) => {
  const most = command[0] === "yes" ? MAX_GROWTH_BY_LOGS_KB : MAX_GROWTH_KB;
  expect(await besides(command, proof)).toBeLessThan(most);
});
