import Type, { type Static } from "typebox";
import { Binding, BindingView } from "./binding.ts";
import { Capabilities } from "./capability.ts";
import { Lease } from "./lease.ts";
import { HANDLE_PATTERN } from "./name-patterns.ts";
import { NetworkPolicy } from "./network.ts";

/**
 * `stopped -> starting -> running -> paused -> (running | hibernated | stopped)`, `hibernated -> starting`; `failed` says why in
 * `failure`. Hibernated: its memory is on disk, and it goes on from there.
 */
export const InstanceState = Type.Enum(["starting", "running", "paused", "hibernated", "stopped", "failed"]);
export type InstanceState = "starting" | "running" | "paused" | "hibernated" | "stopped" | "failed";

export const IdlePolicy = Type.Enum(["default", "leases_only"]);
export type IdlePolicy = "default" | "leases_only";

/** What follows when the workload ends by itself: `on-failure` is any end but exit code 0. */
export const RestartPolicy = Type.Enum(["no", "on-failure", "always"]);
export type RestartPolicy = "no" | "on-failure" | "always";

/** What becomes of an instance's children, on all levels below, when it ends: `stop` ends them too. A pause is no end. */
export const OrphanPolicy = Type.Enum(["stop", "keep"]);
export type OrphanPolicy = "stop" | "keep";

export const DriverName = Type.Enum(["container", "microvm", "fake"]);
export type DriverName = "container" | "microvm" | "fake";

/** `http` endpoints also answer on the HTTP router; every endpoint carries plain TCP. */
export const EndpointProtocol = Type.Enum(["http", "tcp"]);
export type EndpointProtocol = "http" | "tcp";

const Port = Type.Integer({ minimum: 1, maximum: 65535 });
export const Command = Type.Array(Type.String({ maxLength: 131072 }), { minItems: 1, maxItems: 1024 });
export const Env = Type.Record(
  Type.String({ pattern: "^[a-zA-Z_][a-zA-Z0-9_]*$" }),
  Type.String({ maxLength: 131072 }),
  {
    additionalProperties: false,
  },
);
const Seconds = Type.Union([Type.Number({ minimum: 0.1, maximum: 31_536_000 }), Type.Null()]);

/** counted from the creation; null is no end */
const Lifetime = Type.Union([Type.Integer({ minimum: 1, maximum: 31_536_000 }), Type.Null()]);

const hookFields = {
  /** run inside, like an exec */
  command: Type.Optional(Command),
  /** a request to a server inside */
  http: Type.Optional(
    Type.Object(
      {
        port: Port,
        path: Type.String({ pattern: "^/[!-~]*$", maxLength: 2048 }),
        method: Type.Optional(Type.Enum(["GET", "POST", "PUT"])),
      },
      { additionalProperties: false },
    ),
  ),
  timeout_s: Type.Optional(Type.Number({ minimum: 0.1, maximum: 60 })),
};

/** One question to the workload: either `command` or `http`. */
export const HookCall = Type.Object(hookFields, { additionalProperties: false });
export type HookCall = Static<typeof HookCall>;

/**
 * How the workload is asked before a pause, and told after it. Anything but exit code 0 or a status below 400 is a no,
 * and so is the JSON `{"busy": true, "reason": ...}`. The last line that it answers, if it is JSON, comes back to `resume`;
 * `{"wake_at": "2026-01-31T08:00:00Z"}` in it is when the instance is woken at the latest,
 * and `{"boot_lead_s": 60}` beside it how much earlier it is booted, should it be stopped by then.
 */
export const PauseHook = Type.Object(
  { ...hookFields, resume: Type.Optional(HookCall) },
  { additionalProperties: false },
);
export type PauseHook = Static<typeof PauseHook>;

export const ExposeRequest = Type.Object(
  {
    port: Port,
    public_port: Type.Optional(Port),
    protocol: Type.Optional(EndpointProtocol),
  },
  { additionalProperties: false },
);
export type ExposeRequest = Static<typeof ExposeRequest>;

const DiskMb = Type.Integer({ minimum: 64, maximum: 4_194_304 });

const specFields = {
  command: Type.Optional(Command),
  image_ref: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
  env: Type.Optional(Env),
  secrets: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { maxItems: 256 })),
  workspace: Type.Optional(Type.String({ minLength: 1, maxLength: 4096 })),
  exposes: Type.Optional(Type.Array(Type.Union([Port, ExposeRequest]), { maxItems: 64 })),
  memory_mb: Type.Optional(Type.Integer({ minimum: 16, maximum: 1_048_576 })),
  vcpus: Type.Optional(Type.Number({ minimum: 0.1, maximum: 256 })),
  /** all that the instance may write outside of its workspace, what the file system itself needs included */
  disk_mb: Type.Optional(DiskMb),
  idle_policy: Type.Optional(IdlePolicy),
  pause_after_idle_s: Type.Optional(Seconds),
  stop_after_paused_s: Type.Optional(Seconds),
  /** whether it is hibernated then instead of stopped, where the driver can */
  hibernate: Type.Optional(Type.Boolean()),
  restart: Type.Optional(RestartPolicy),
  /** when it is over the instance is stopped for good: nothing starts it again */
  lifetime_s: Type.Optional(Lifetime),
  orphans: Type.Optional(OrphanPolicy),
  pause_hook: Type.Optional(PauseHook),
  capabilities: Type.Optional(Capabilities),
  read_only_root: Type.Optional(Type.Boolean()),
  network: Type.Optional(NetworkPolicy),
};

/** Body of `POST /v1/instances` on the host API. */
export const CreateInstance = Type.Object(
  {
    handle: Type.Optional(Type.String({ pattern: HANDLE_PATTERN, maxLength: 64 })),
    ...specFields,
    bindings: Type.Optional(Type.Array(Binding, { maxItems: 16 })),
    kit: Type.Optional(Type.String({ pattern: HANDLE_PATTERN, maxLength: 64 })),
    driver: Type.Optional(DriverName),
  },
  { additionalProperties: false },
);
export type CreateInstance = Static<typeof CreateInstance>;

/** Body of `POST /v1/instances` on the Guest API: bindings are the parent's own, by name; a workspace is a name. */
export const SpawnInstance = Type.Object(
  {
    handle: Type.Optional(Type.String({ pattern: HANDLE_PATTERN, maxLength: 64 })),
    ...specFields,
    bindings: Type.Optional(Type.Array(Type.String({ pattern: HANDLE_PATTERN, maxLength: 64 }), { maxItems: 16 })),
  },
  { additionalProperties: false },
);
export type SpawnInstance = Static<typeof SpawnInstance>;

/** Body of `PATCH /v1/instances/{id}`: what may change while the instance runs; what is left out stays. */
export const UpdateInstance = Type.Object(
  {
    idle_policy: Type.Optional(IdlePolicy),
    pause_after_idle_s: Type.Optional(Seconds),
    stop_after_paused_s: Type.Optional(Seconds),
    hibernate: Type.Optional(Type.Boolean()),
    restart: Type.Optional(RestartPolicy),
    lifetime_s: Type.Optional(Lifetime),
    orphans: Type.Optional(OrphanPolicy),
    pause_hook: Type.Optional(Type.Union([PauseHook, Type.Null()])),
    /** larger than before only; from the next boot on */
    disk_mb: Type.Optional(DiskMb),
  },
  { additionalProperties: false },
);
export type UpdateInstance = Static<typeof UpdateInstance>;

/** Body of `POST .../pause` and `.../hibernate`. With `force` the workload's pause hook has no say. */
export const PauseRequest = Type.Object({ force: Type.Optional(Type.Boolean()) }, { additionalProperties: false });
export type PauseRequest = Static<typeof PauseRequest>;

const Amounts = Type.Object({
  instances: Type.Integer(),
  memory_mb: Type.Integer(),
  vcpus: Type.Number(),
  disk_mb: Type.Integer(),
});

/** What an instance and all below it come to. */
export const TreeView = Type.Object({
  /** below it: what exists, stopped ones included */
  used: Amounts,
  /** what it may still hand out: the least of its own budget and those above it */
  left: Amounts,
  children: Type.Integer(),
  children_left: Type.Integer(),
  /** of itself and all below it that run or are paused */
  stats: Type.Object({
    memory_bytes: Type.Integer(),
    cpu_ms: Type.Integer(),
    processes: Type.Integer(),
    /** of those whose backend can tell */
    disk_bytes: Type.Integer(),
  }),
});
export type TreeView = Static<typeof TreeView>;

export const Endpoint = Type.Object({
  guest_port: Port,
  public_port: Port,
  protocol: EndpointProtocol,
  url: Type.String(),
});
export type Endpoint = Static<typeof Endpoint>;

/** What the kernel says of a machine right now. */
export const InstanceStats = Type.Object({
  /** everything in RAM that counts for the machine, cached files and the kernel's own included */
  memory_bytes: Type.Integer(),
  /** the part of it that its processes have mapped */
  resident_bytes: Type.Integer(),
  /** swapped out; a wake brings back what is touched */
  swapped_bytes: Type.Integer(),
  cpu_ms: Type.Integer(),
  processes: Type.Integer(),
  /** what its disk takes of the host's, without the workspace; null where the backend gives the disk no bound */
  disk_bytes: Type.Union([Type.Integer(), Type.Null()]),
});
export type InstanceStats = Static<typeof InstanceStats>;

/** One line of an instance's power history. */
export const PowerEntry = Type.Object({
  state: InstanceState,
  /** RFC 3339 */
  since: Type.String(),
  reason: Type.String(),
});
export type PowerEntry = Static<typeof PowerEntry>;

const Nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

/** `GET /v1/instances/{id}`. Times are RFC 3339. */
export const InstanceView = Type.Object({
  id: Type.String(),
  handle: Type.String(),
  state: InstanceState,
  enabled: Type.Boolean(),
  command: Command,
  image_ref: Type.String(),
  image_digest: Nullable(Type.String()),
  kit: Nullable(Type.String()),
  workspace: Nullable(Type.String()),
  idle_policy: IdlePolicy,
  pause_after_idle_s: Nullable(Type.Number()),
  stop_after_paused_s: Nullable(Type.Number()),
  hibernate: Type.Boolean(),
  restart: RestartPolicy,
  /** when the restart policy starts it again; null when it does not */
  restart_at: Nullable(Type.String()),
  /** when it is woken because its pause hook asked for that; null when it is not */
  wake_at: Nullable(Type.String()),
  lifetime_s: Nullable(Type.Integer()),
  /** when it is stopped for good: with its own lifetime, or with that of one above it; null: never */
  expires_at: Nullable(Type.String()),
  orphans: OrphanPolicy,
  pause_hook: Nullable(PauseHook),
  memory_mb: Type.Integer(),
  disk_mb: Type.Integer(),
  vcpus: Type.Number(),
  network: NetworkPolicy,
  driver: DriverName,
  parent_id: Nullable(Type.String()),
  /** as granted; what is above it may allow less */
  capabilities: Capabilities,
  created_at: Type.String(),
  last_active_at: Type.String(),
  stopped_at: Nullable(Type.String()),
  exit_code: Nullable(Type.Integer()),
  failure: Nullable(Type.String()),
  active_connections: Type.Integer(),
  expose_ports: Type.Array(Port),
  endpoints: Type.Array(Endpoint),
  secret_keys: Type.Array(Type.String()),
  leases: Type.Array(Lease),
  lease_held: Type.Boolean(),
  lease_reason: Nullable(Type.String()),
  lease_expires_at: Nullable(Type.String()),
  stats: Nullable(InstanceStats),
  /** the newest changes of state and why, oldest first; not in lists */
  power_history: Type.Optional(Type.Array(PowerEntry)),
  /** the newest event that this view knows of: whoever follows events from there misses none; not in lists */
  event_seq: Type.Optional(Type.Integer()),
  /** with what was used of them; not in lists */
  bindings: Type.Optional(Type.Array(BindingView)),
  /** not in lists */
  tree: Type.Optional(TreeView),
});
export type InstanceView = Static<typeof InstanceView>;
