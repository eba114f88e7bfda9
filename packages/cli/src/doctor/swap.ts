import { existsSync, readFileSync } from "node:fs";
import { good, weak, type Finding } from "./finding.ts";

const COST = "a paused instance keeps all of its memory (OpenClaw's gateway: about 1 GB instead of 30 MB)";
const ZRAM = "modprobe zram && D=$(zramctl --find --size 4G) && mkswap $D && swapon -p 100 $D";
const FILE =
  "fallocate -l 4G /swapfile && chmod 600 /swapfile && mkswap /swapfile && swapon /swapfile (and /etc/fstab to keep it)";

/** Where the memory of paused instances goes, and what it would bring to have such a place. */
export function checkSwap(swaps = "/proc/swaps", cgroups = "/sys/fs/cgroup"): Finding {
  const devices = rows(swaps);
  if (devices.length === 0) {
    const fix = `switch on zram, compressed memory: ${ZRAM}; or a swap file: ${FILE}`;
    return weak("swap", `neither swap nor zram: ${COST}`, fix);
  }
  const names = devices.map((line) => line.split(/\s+/)[0]).join(", ");
  if (canReclaim(cgroups)) return good("swap", `${names}: the memory of paused instances goes there`);
  return weak("swap", `${names}, but ${COST}`, "boot Linux 5.19 or newer with the memory controller");
}

/** v1 does it by its limit; v2 by a file that every group but the root has. */
function canReclaim(cgroups: string): boolean {
  if (existsSync(`${cgroups}/memory/memory.limit_in_bytes`)) return true;
  const controllers = existsSync(`${cgroups}/cgroup.controllers`)
    ? readFileSync(`${cgroups}/cgroup.controllers`, "utf8")
    : "";
  return controllers.split(/\s+/).includes("memory") && isAtLeast(5, 19);
}

function isAtLeast(major: number, minor: number): boolean {
  const [has = 0, hasMinor = 0] = readFileSync("/proc/sys/kernel/osrelease", "utf8").split(".").map(Number);
  return has > major || (has === major && hasMinor >= minor);
}

function rows(swaps: string): string[] {
  if (!existsSync(swaps)) return [];
  return readFileSync(swaps, "utf8").trim().split("\n").slice(1);
}
