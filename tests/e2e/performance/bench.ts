import { writeFileSync } from "node:fs";
import { openBenchHost, type BenchHost } from "./bench-host.ts";
import { measureClaw } from "./claw/measure-claw.ts";
import { measureTools } from "./claw/measure-tools.ts";
import { verdictOf, type Figure } from "./figure.ts";
import { describeMachine, renderMachine, type MachineFacts } from "./machine-facts.ts";
import { measureBoot } from "./measure-boot.ts";
import { measureEnd } from "./measure-end.ts";
import { measureExec } from "./measure-exec.ts";
import { measureMemory } from "./measure-memory.ts";
import { measurePaused } from "./measure-paused.ts";
import { measurePower } from "./measure-power.ts";
import { measureRunning } from "./measure-running.ts";
import { measureStopped } from "./measure-stopped.ts";
import { measureMicrovm } from "./microvm/measure-microvm.ts";
import { HELP, parseOptions, type BenchOptions, type Group } from "./options.ts";
import { renderTable } from "./render-table.ts";

const measurements: Record<Group, (host: BenchHost, options: BenchOptions) => Promise<Figure[]>> = {
  boot: measureBoot,
  exec: measureExec,
  running: measureRunning,
  paused: measurePaused,
  stopped: measureStopped,
  end: measureEnd,
  memory: measureMemory,
  power: measurePower,
  microvm: measureMicrovm,
  claw: async (host, options) => [...(await measureClaw(host, options)), ...(await measureTools(host))],
  tools: measureTools,
};

const INTERRUPTED = 130;
const progress = (text: string): void => void process.stderr.write(`${text}\n`);

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options === null) return void process.stdout.write(HELP);
  if (process.getuid?.() !== 0) throw new Error("the measurements run real instances, which needs root");
  const stop = new AbortController();
  // more than once: the terminal tells every process of the group, and npm passes it on as well
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(name, () => stop.abort(new Error(`ended by ${name}`)));
  const machine = describeMachine();
  const { figures, daemon } = await measureAll(options, stop.signal).catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
    process.exitCode = INTERRUPTED;
    throw stop.signal.reason;
  });
  report(options, { machine: machine(), daemon, figures });
}

async function measureAll(options: BenchOptions, signal: AbortSignal): Promise<{ figures: Figure[]; daemon: string }> {
  await using opened = new AsyncDisposableStack();
  opened.defer(() => progress("cleaning up"));
  progress("starting aegisd");
  const host = await openBenchHost(opened, signal);
  const figures: Figure[] = [];
  for (const group of options.groups) {
    progress(`measuring: ${group}`);
    figures.push(...(await measurements[group](host, options)));
  }
  return { figures, daemon: host.daemon.commandLine };
}

function report({ json }: BenchOptions, results: { machine: MachineFacts; daemon: string; figures: Figure[] }): void {
  const missed = results.figures.filter((figure) => verdictOf(figure) === "missed");
  const verdict =
    missed.length === 0 ? "every target met" : `missed: ${missed.map(({ aegis }) => aegis.label).join("; ")}`;
  const head = `${renderMachine(results.machine)}\naegisd:  node ${results.daemon}`;
  process.stdout.write(`\n${head}\n\n${renderTable(results.figures)}\n\n${verdict}\n`);
  if (json !== null) writeFileSync(json, `${JSON.stringify(results, null, 2)}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode ??= 1;
});
