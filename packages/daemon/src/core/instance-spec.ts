import type {
  CreateInstance,
  DriverName,
  ExposeRequest,
  HookCall,
  PauseHook,
  SpawnInstance,
} from "@aegis/protocol/instance";
import { AegisError } from "@aegis/protocol/errors";
import { checkedNetwork, OPEN_NETWORK } from "@aegis/protocol/network";
import { checkedBindings } from "./checked-bindings.ts";
import type { InstanceSpec } from "./instance-record.ts";

/** Settings of the daemon that fill in what a create body leaves out. */
export interface SpecDefaults {
  imageRef: string;
  driver: DriverName;
}

const DEFAULT_MEMORY_MB = 512;
const DEFAULT_VCPUS = 1;
export const DEFAULT_DISK_MB = 10_240;
const DEFAULT_PAUSE_AFTER_IDLE_S = 60;
const DEFAULT_STOP_AFTER_PAUSED_S = 300;

/** `undefined` takes the default, `null` is meant. */
const or = <T>(value: T | undefined, fallback: T): T => (value === undefined ? fallback : value);

type Size = Pick<InstanceSpec, "memory_mb" | "vcpus" | "disk_mb" | "read_only_root">;

/** What an instance may use of the host. */
export const sizeOf = (body: { [field in keyof Size]?: Size[field] | undefined }): Size => ({
  memory_mb: body.memory_mb ?? DEFAULT_MEMORY_MB,
  vcpus: body.vcpus ?? DEFAULT_VCPUS,
  disk_mb: body.disk_mb ?? DEFAULT_DISK_MB,
  read_only_root: body.read_only_root ?? false,
});

/** @throws AegisError `invalid_request` without a command */
export function toSpec(
  body: CreateInstance | SpawnInstance,
  bindings: InstanceSpec["bindings"],
  defaults: SpecDefaults,
): InstanceSpec {
  if (body.command === undefined) {
    throw new AegisError(
      "invalid_request",
      'A new instance needs a command, for example "command": ["node", "server.js"].',
    );
  }
  if ("driver" in body && body.driver !== undefined && body.driver !== defaults.driver) {
    throw new AegisError(
      "invalid_request",
      `The instances of this daemon are made by the ${defaults.driver} driver, not by ${body.driver}: AEGIS_DRIVER chooses it when the daemon starts.`,
    );
  }
  return {
    command: body.command,
    image_ref: body.image_ref ?? defaults.imageRef,
    env: body.env ?? {},
    secrets: body.secrets ?? [],
    workspace: body.workspace ?? null,
    ...sizeOf(body),
    idle_policy: body.idle_policy ?? "default",
    pause_after_idle_s: or(body.pause_after_idle_s, DEFAULT_PAUSE_AFTER_IDLE_S),
    stop_after_paused_s: or(body.stop_after_paused_s, DEFAULT_STOP_AFTER_PAUSED_S),
    hibernate: body.hibernate ?? true,
    restart: body.restart ?? "no",
    lifetime_s: body.lifetime_s ?? null,
    orphans: body.orphans ?? "stop",
    pause_hook: checkedHook(body.pause_hook ?? null),
    network: checkedNetwork(body.network ?? OPEN_NETWORK),
    bindings: checkedBindings(bindings),
    kit: "kit" in body ? (body.kit ?? null) : null,
  };
}

/** @throws AegisError `invalid_request` for a hook that says twice, or not at all, whom to ask */
export function checkedHook(hook: PauseHook | null): PauseHook | null {
  if (hook === null) return null;
  checkCall("pause_hook", hook);
  if (hook.resume !== undefined) checkCall("pause_hook.resume", hook.resume);
  return hook;
}

/** @throws AegisError `invalid_request` for a disk that would shrink */
export function checkDiskGrows(fromMb: number, toMb: number): void {
  if (toMb >= fromMb) return;
  throw new AegisError("invalid_request", `A disk can only grow: disk_mb is ${fromMb} now, ${toMb} is less.`);
}

function checkCall(field: string, { command, http }: HookCall): void {
  if ((command === undefined) !== (http === undefined)) return;
  throw new AegisError(
    "invalid_request",
    `${field} needs either a command, as in {"command": ["sh", "ask.sh"]}, or http, as in {"http": {"port": 8080, "path": "/idle"}}.`,
  );
}

/** The endpoints that a create body asks for, one per guest port. @throws AegisError `invalid_request` on a repeated port */
export function toExposes(body: CreateInstance | SpawnInstance): ExposeRequest[] {
  const exposes = (body.exposes ?? []).map((entry) => (typeof entry === "number" ? { port: entry } : entry));
  const ports = new Set<number>();
  for (const { port } of exposes) {
    if (ports.has(port))
      throw new AegisError("invalid_request", `Port ${port} is exposed twice. Name each guest port once.`);
    ports.add(port);
  }
  return exposes;
}
