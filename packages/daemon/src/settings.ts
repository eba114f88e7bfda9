import { AegisError } from "@aegis/protocol/errors";
import type { DiskLimits } from "./core/disk-watch.ts";

export interface Settings {
  defaultImage: string;
  routerPort: number;
  /** what instances are made by; `auto`: virtual machines where KVM works, else containers */
  driver: "auto" | "container" | "microvm";
  /** whether virtual machines make templates by themselves, for warm starts */
  warmStarts: "auto" | "asked";
  runtime: "auto" | "crun" | "runc";
  /** whether the memory of paused instances is swapped out, where there is swap */
  reclaim: "auto" | "off";
  /** registry name to the mirrors that are asked first, in order */
  mirrors: Record<string, string[]>;
  /** where the HTTP router is reached from outside; null: what was set at run time, if anything */
  publicUrl: string | null;
  /** when the disk counts as low; null is the default */
  disk: DiskLimits;
  /** folder with aegis-guest, its loader and tini */
  harnessDir: string;
  /** folder with the kernel of virtual machines, their initramfs and the harness's disk */
  vmDir: string;
  /** folder of the kits that came with this clone */
  kitsDir: string;
}

const DEFAULT_ROUTER_PORT = 8099;

/**
 * Reads the daemon's settings from its environment.
 * @throws AegisError `invalid_request` that names the variable
 */
export function readSettings(env: NodeJS.ProcessEnv, projectRoot: string): Settings {
  return {
    defaultImage: env["AEGIS_DEFAULT_IMAGE"] ?? "aegis/claw:latest",
    routerPort: readPort(env["AEGIS_ROUTER_PORT"]),
    driver: readDriver(env["AEGIS_DRIVER"]),
    warmStarts: readWarmStarts(env["AEGIS_WARM_STARTS"]),
    runtime: readRuntime(env["AEGIS_RUNTIME"]),
    reclaim: readReclaim(env["AEGIS_RECLAIM"]),
    mirrors: readMirrors(env["AEGIS_REGISTRY_MIRRORS"]),
    publicUrl: env["AEGIS_PUBLIC_URL"] ?? null,
    disk: {
      budgetBytes: readMegabytes("AEGIS_DISK_BUDGET_MB", env),
      floorBytes: readMegabytes("AEGIS_DISK_FLOOR_MB", env),
    },
    harnessDir: env["AEGIS_GUEST_DIR"] ?? `${projectRoot}/dist/guest`,
    vmDir: env["AEGIS_VM_DIR"] ?? `${projectRoot}/dist/vm`,
    kitsDir: `${projectRoot}/kits`,
  };
}

function readMegabytes(name: string, env: NodeJS.ProcessEnv): number | null {
  const value = env[name];
  if (value === undefined) return null;
  if (/^\d+$/.test(value)) return Number(value) * 1024 * 1024;
  throw new AegisError("invalid_request", `${name} must be a whole number of megabytes, not ${value}.`);
}

function readPort(value: string | undefined): number {
  if (value === undefined) return DEFAULT_ROUTER_PORT;
  const port = Number(value);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new AegisError("invalid_request", `AEGIS_ROUTER_PORT must be a port from 0 (any) to 65535, not ${value}.`);
}

function readDriver(value: string | undefined): Settings["driver"] {
  if (value === undefined || value === "auto") return "auto";
  if (value === "container" || value === "microvm") return value;
  throw new AegisError("invalid_request", `AEGIS_DRIVER must be auto, container or microvm, not ${value}.`);
}

function readWarmStarts(value: string | undefined): Settings["warmStarts"] {
  if (value === undefined || value === "asked") return "asked";
  if (value === "auto") return value;
  throw new AegisError("invalid_request", `AEGIS_WARM_STARTS must be auto or asked, not ${value}.`);
}

function readRuntime(value: string | undefined): Settings["runtime"] {
  if (value === undefined || value === "auto") return "auto";
  if (value === "crun" || value === "runc") return value;
  throw new AegisError("invalid_request", `AEGIS_RUNTIME must be auto, crun or runc, not ${value}.`);
}

function readReclaim(value: string | undefined): Settings["reclaim"] {
  if (value === undefined || value === "auto") return "auto";
  if (value === "off") return value;
  throw new AegisError("invalid_request", `AEGIS_RECLAIM must be auto or off, not ${value}.`);
}

/** `docker.io=http://127.0.0.1:5000,quay.io=https://mirror.example` */
function readMirrors(value: string | undefined): Record<string, string[]> {
  const mirrors: Record<string, string[]> = {};
  for (const entry of (value ?? "").split(",").filter((part) => part.trim() !== "")) {
    const [registry, url] = entry.trim().split("=", 2);
    if (registry === undefined || registry === "" || url === undefined || !/^https?:\/\//.test(url)) {
      throw new AegisError(
        "invalid_request",
        `AEGIS_REGISTRY_MIRRORS must look like docker.io=http://127.0.0.1:5000, not ${entry}.`,
      );
    }
    (mirrors[registry] ??= []).push(url);
  }
  return mirrors;
}
