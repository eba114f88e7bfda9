// Run by `npm test` when a run has ended before its tests took away what they had on this host.
// Argument: the run's folder. Exit code: 1 when something is left.
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ContainerDriver } from "../../packages/daemon/src/drivers/container/container-driver.ts";
import { runningDaemon, stopDaemon } from "../../packages/sdk/src/daemon-process.ts";
import { hasEnded, pids, signal, textOf } from "./home-on-host.ts";
import { HostLeftovers } from "./host-leftovers.ts";
import { type Note, notesOf, RUN_FOLDER, undo } from "./run-notes.ts";

const HARNESS = fileURLToPath(new URL("../../dist/guest", import.meta.url));
const ROOT_USER = { uid: 0, gid: 0 };
/** for `npm start`, which stops its instances and its daemon first */
const PATIENCE_MS = 60_000;
const LOOK_MS = 20;

const log = (line: string): void => void process.stdout.write(`${line}\n`);

/** @returns what could not be taken away */
async function sweep(folder: string): Promise<string[]> {
  await kill(withEnv(`${RUN_FOLDER}=${folder}`));
  const notes = notesOf(folder);
  const left: string[] = [];
  for (const note of notes) if (note.kind === "home") left.push(...(await sweepHome(note)));
  for (const note of notes) if (note.kind === "undo") undo(note.commands);
  return left;
}

async function sweepHome({ home, key }: Extract<Note, { kind: "home" }>): Promise<string[]> {
  const started = performance.now();
  const leftovers = new HostLeftovers(home, key);
  leftovers.remember();
  try {
    await endProcesses(home, leftovers);
    if (leftovers.now().length > 0) await removeMachines(home, key);
    rmSync(home, { recursive: true, force: true });
  } catch (error) {
    log(`${home}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const left = await leftovers.settled();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  log(left.length === 0 ? `${home} is gone (${seconds} s)` : `of ${home} is left:\n  ${left.join("\n  ")}`);
  return left;
}

/** As a person does: Ctrl-C for what was started on the home, `aegis down` for a daemon that answers; the rest is killed. */
async function endProcesses(home: string, leftovers: HostLeftovers): Promise<void> {
  const started = leftovers.starters();
  for (const pid of started) signal(pid, "SIGINT");
  await gone(started, PATIENCE_MS);
  if ((await runningDaemon(home).catch(() => null)) !== null)
    await stopDaemon(home, { stopInstances: true }).catch((error: unknown) => log(String(error)));
  await kill([...started, ...withEnv(`AEGIS_HOME=${home}`)]);
}

/** What a daemon that died has left, or a driver in a test. Machines of another driver are ended as well. */
async function removeMachines(home: string, homeKey: string): Promise<void> {
  const driver = new ContainerDriver({ home, homeKey, harnessDir: HARNESS, owner: ROOT_USER, log: () => undefined });
  mkdirSync(join(home, "data"), { recursive: true });
  await driver.start();
  for (const machine of await driver.adopt()) await machine.remove();
  await driver.close();
}

/** Processes that have a setting in their environment: nobody but who was given it has one with the name of a folder of ours. */
const withEnv = (setting: string): number[] =>
  pids().filter((pid) => textOf(`/proc/${pid}/environ`).split("\0").includes(setting));

async function kill(processes: number[]): Promise<void> {
  for (const pid of processes) signal(pid, "SIGKILL");
  await gone(processes, PATIENCE_MS);
}

async function gone(processes: number[], patienceMs: number): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (processes.some((pid) => !hasEnded(pid)) && performance.now() < deadline) await delay(LOOK_MS);
}

// who read what we say may have gone first
process.stdout.on("error", () => undefined);
const [folder] = process.argv.slice(2);
if (folder === undefined || !existsSync(folder)) throw new Error("sweep.ts FOLDER: the folder of a run of the tests");
process.exitCode = (await sweep(folder)).length === 0 ? 0 : 1;
