import { existsSync, readFileSync } from "node:fs";
import { good, missing, weak, type Finding } from "./finding.ts";
import { checkSwap } from "./swap.ts";

const NEEDED_CONTROLLERS = ["memory", "cpu", "freezer"];

/** What the kernel has to offer for isolation, limits and pauses. */
export const checkKernel = (): Finding[] => [cgroups(), userNamespaces(), overlay(), loopDevices(), checkSwap()];

function cgroups(): Finding {
  const unified = read("/sys/fs/cgroup/cgroup.controllers");
  // a v2 tree can always be frozen, by cgroup.freeze
  const has = unified === null ? v1Controllers() : [...unified.trim().split(" "), "freezer"];
  const lacks = NEEDED_CONTROLLERS.filter((name) => !has.includes(name));
  const version = unified === null ? "v1" : "v2";
  if (lacks.length === 0) return good("cgroups", `${version} with ${NEEDED_CONTROLLERS.join(", ")}`);
  const fix =
    lacks.includes("memory") && version === "v2"
      ? "boot with cgroup_enable=memory, or delegate the controller to this machine (container, VM)"
      : "boot a kernel with these controllers, or delegate them to this machine";
  return missing("cgroups", `${version} without ${lacks.join(", ")}`, fix);
}

function v1Controllers(): string[] {
  const mounts = (read("/proc/self/mounts") ?? "").split("\n").map((line) => line.split(" "));
  return mounts.filter((fields) => fields[2] === "cgroup").flatMap((fields) => fields[3]?.split(",") ?? []);
}

function userNamespaces(): Finding {
  const most = read("/proc/sys/user/max_user_namespaces");
  if (most === null) return missing("user namespaces", "not in this kernel", "boot a kernel with CONFIG_USER_NS");
  if (Number(most) > 0) return good("user namespaces", "available");
  return missing("user namespaces", "switched off", "sysctl -w user.max_user_namespaces=15000");
}

function overlay(): Finding {
  if (/\boverlay$/m.test(read("/proc/filesystems") ?? "")) return good("overlayfs", "available");
  return weak("overlayfs", "not loaded yet", "modprobe overlay, if instances do not start");
}

function loopDevices(): Finding {
  if (existsSync("/dev/loop-control")) return good("loop devices", "available");
  return weak(
    "loop devices",
    "none: instances run without a disk limit",
    "modprobe loop, or allow them to this machine",
  );
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error) return null;
    throw error;
  }
}
