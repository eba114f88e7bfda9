import { AegisError } from "@aegis/protocol/errors";
import type { DriverName } from "@aegis/protocol/instance";
import type { Settings } from "./settings.ts";

export interface DriverFacts {
  /** what made the machines of this home that still run; null when none do */
  left: () => Promise<DriverName | null>;
  /** null where virtual machines have hardware help and all that they need */
  whyNoVms: () => Promise<string | null>;
}

export interface DriverChoice {
  name: "container" | "microvm";
  /** half a sentence */
  driverReason: string;
}

/**
 * Instances that run are the first thing: another driver could not take them up, and would end them.
 * @throws AegisError `driver_failed` where another one is asked for
 */
export async function chooseDriver(asked: Settings["driver"], facts: DriverFacts): Promise<DriverChoice> {
  const left = await facts.left();
  if (asked !== "auto") {
    if (left !== null && left !== asked) throw othersRun(asked, left);
    return { name: asked, driverReason: "AEGIS_DRIVER asks for it" };
  }
  if (left === "container" || left === "microvm") return { name: left, driverReason: "its instances still run" };
  const why = await facts.whyNoVms();
  if (why === null) return { name: "microvm", driverReason: "KVM works on this machine" };
  return { name: "container", driverReason: why };
}

const othersRun = (asked: DriverName, left: DriverName): AegisError =>
  new AegisError(
    "driver_failed",
    `AEGIS_DRIVER asks for ${asked}, but instances of this home still run that the ${left} driver made, and would be lost. Stop them first: AEGIS_DRIVER=${left} aegis up, then aegis down.`,
  );
