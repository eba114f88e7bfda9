import type { ProcessExit } from "@aegis/protocol/control";
import type { Machine, MachineExit } from "./driver.ts";
import type { InstanceJournal } from "./instance-journal.ts";
import type { Observation } from "./instance-record.ts";

/** How a run ended that nobody ended on purpose. */
export type Ending = Pick<Observation, "state"> & Partial<Observation>;

export const OUT_OF_MEMORY = "out of memory";

/** The harness needs a thread now and then, and ends with the rest where there is none left. */
const OUT_OF_PROCESSES = "out of processes: it asked for more than an instance may have";

/** The machine went, with the harness in it. */
export function endOfMachine(exit: MachineExit, journal: InstanceJournal): Ending {
  const failure = exit.outOfMemory
    ? OUT_OF_MEMORY
    : exit.outOfProcesses
      ? OUT_OF_PROCESSES
      : "the machine ended unexpectedly";
  journal.say(failure);
  return { state: "failed", failure };
}

/** The workload ended, and the harness is there to tell how. */
export async function endOfProcess(machine: Machine, exit: ProcessExit, journal: InstanceJournal): Promise<Ending> {
  const outOfMemory = exit.code !== 0 && (await machine.ranOutOfMemory());
  journal.say(`process exited (code ${exit.code})${outOfMemory ? `: ${OUT_OF_MEMORY}` : ""}`);
  return outOfMemory
    ? { state: "failed", exitCode: exit.code, failure: OUT_OF_MEMORY }
    : { state: "stopped", exitCode: exit.code };
}

/** It ended while there was no daemon. @returns whether it is to be started again, and what to say of its end */
export function endUnseen(
  { record, seen }: Pick<InstanceJournal, "record" | "seen">,
  hostBootNow: string,
): { again: boolean; why: string } {
  const rebooted = seen.hostBoot !== null && seen.hostBoot !== hostBootNow;
  const meantToRun = record.enabled && seen.wanted === "running";
  const again = meantToRun && (seen.state === "starting" || rebooted || record.spec.restart !== "no");
  return { again, why: rebooted ? "the host was started anew" : "its machine was gone when the daemon came back" };
}
