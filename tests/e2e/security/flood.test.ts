import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Aegis, startAegis } from "../aegis-fixture.ts";

let aegis: Aegis;
beforeAll(async () => {
  aegis = await startAegis();
});
afterAll(() => aegis.stop());

const CALLS = 30;
/** What the daemon may take beside what it took before: its buffers for one flood, and what the collector leaves lying. */
const MAX_GROWTH_KB = 64 * 1024;

/** Runs an attack in one instance while a neighbour and the API are asked, again and again: each answers. */
async function besides(command: string[]): Promise<number> {
  const { pid } = await aegis.client.status();
  const residentKb = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  const neighbour = await aegis.boot({ command: ["sleep", "infinity"] });
  const before = residentKb();
  const attacker = await aegis.boot({ command, pause_after_idle_s: null, memory_mb: 128 });
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

const DESCRIPTORS = 'i=3; while [ $i -lt 4000 ]; do eval "exec $i</dev/null" || break; i=$((i+1)); done; sleep 600';
const CALLER = "while :; do nc 127.0.0.1 7777 < /dev/zero > /dev/null 2>&1; done";

it.each([
  ["floods its log", ["yes", "x".repeat(200)]],
  ["floods its log without a line break", ["sh", "-c", "cat /dev/zero"]],
  ["forks without end", ["sh", "-c", "f() { f | f & }; while :; do f; done"]],
  ["takes all memory, again and again", ["sh", "-c", "while :; do dd if=/dev/zero of=/dev/null bs=300M count=1; done"]],
  ["fills its disk", ["sh", "-c", "while :; do dd if=/dev/zero of=/root/x bs=1M count=200; rm /root/x; done"]],
  ["opens descriptors without end", ["sh", "-c", DESCRIPTORS]],
  ["sends the Guest API garbage without end", ["sh", "-c", `for i in 1 2 3 4; do ${CALLER} & done; wait`]],
  [
    "opens connections to the Guest API and says nothing",
    [
      "sh",
      "-c",
      "i=0; while [ $i -lt 400 ]; do nc 127.0.0.1 7777 < /dev/ptmx > /dev/null & i=$((i+1)); done; sleep 600",
    ],
  ],
])("an instance that %s leaves its neighbour and the API at work", async (_, command) => {
  expect(await besides(command)).toBeLessThan(MAX_GROWTH_KB);
});
