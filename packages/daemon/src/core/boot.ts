import type { RunParams } from "@aegis/protocol/control";
import { AegisError } from "@aegis/protocol/errors";
import { GUEST_API_PORT } from "@aegis/protocol/control";
import { instanceActor } from "./audit.ts";
import type { Audit } from "./audit.ts";
import type { Driver, Machine, MachineSpec } from "./driver.ts";
import type { Harness, HarnessLink, HarnessObserver } from "./harness.ts";
import { checkContent } from "./image-rule.ts";
import type { Image, Images, PullProgress } from "./images.ts";
import type { InstanceRecord } from "./instance-record.ts";
import { secretEnv, secretNames } from "./secret-env.ts";
import type { Secrets } from "./secrets.ts";
import type { Workspaces } from "./workspaces.ts";

export interface BootDeps {
  driver: Driver;
  harness: Harness;
  images: Images;
  workspaces: Workspaces;
  secrets: Secrets;
  audit: Audit;
}

export interface BootRequest {
  record: InstanceRecord;
  /** of the image that it had before, over which its disk lies; null before the first boot */
  imageDigest: string | null;
  boot: number;
  /** as {@link Workspaces} take it */
  workspace: string | null;
  observer: HarnessObserver;
  onPull: (progress: PullProgress) => void;
  onImage: (image: Image) => void;
  /** the machine is up, and the caller's to end when the rest fails */
  onMachine: (machine: Machine) => void;
  signal: AbortSignal;
}

export interface Booted {
  machine: Machine;
  link: HarnessLink;
}

/** From a stored spec to a running workload. @param token for its harness */
export async function bootInstance(deps: BootDeps, request: BootRequest, token: string): Promise<Booted> {
  const { record, boot, signal } = request;
  const env = usedSecrets(deps, record, boot);
  const { machine, image } = await makeMachine(deps, request, (spec) => deps.driver.create(spec, signal));
  const link = await deps.harness.connect(machine, request.observer, signal);
  await closedOnAbort(link, signal, link.run(runParams(record, token, image, env)));
  return { machine, link };
}

/** A harness that never answers must not hold up whoever cancels the boot. */
export async function closedOnAbort(link: HarnessLink, signal: AbortSignal, answer: Promise<unknown>): Promise<void> {
  const cancel = (): void => link.close();
  signal.addEventListener("abort", cancel, { once: true });
  try {
    await answer;
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/** From a stored spec to a machine whose harness listens. @param make has the driver do it */
export async function makeMachine(
  deps: BootDeps,
  request: BootRequest,
  make: (spec: MachineSpec, signal: AbortSignal) => Promise<Machine>,
): Promise<{ machine: Machine; image: Image }> {
  const { record, boot, signal } = request;
  if (record.spec.network.mode !== "open" && !deps.driver.features.filtersNetwork) throw cannotFilter(deps.driver.name);
  const wanted = { ref: record.spec.image_ref, digest: request.imageDigest, onPull: request.onPull };
  const image = await deps.images.use(wanted, request.onImage, signal);
  if (image.digest !== request.imageDigest) checkContent(record.spec.image_ref, image);
  await using workspace = request.workspace === null ? null : await deps.workspaces.open(request.workspace);
  const machine = await make(
    {
      instanceId: record.id,
      boot,
      hostname: record.handle,
      image: { digest: image.digest, derived: image.derived },
      rootfs: image.rootfs,
      user: image.config.user,
      memoryMb: record.spec.memory_mb,
      diskMb: record.spec.disk_mb,
      vcpus: record.spec.vcpus,
      readOnlyRoot: record.spec.read_only_root,
      network: record.spec.network,
      workspace,
    },
    signal,
  );
  request.onMachine(machine);
  return { machine, image };
}

function usedSecrets({ secrets, audit }: BootDeps, record: InstanceRecord, boot: number): Record<string, string> {
  const env = secretEnv(record.spec.secrets, secrets);
  for (const [variable, name] of secretNames(record.spec.secrets, secrets))
    audit.record({
      actor: instanceActor({ ...record, boot }),
      action: "secret.use",
      target: name,
      decision: "allowed",
      reason: null,
      detail: `environment variable ${variable}`,
    });
  return env;
}

function runParams(record: InstanceRecord, token: string, image: Image, secrets: Record<string, string>): RunParams {
  return {
    command: record.spec.command,
    env: { ...parseEnv(image.config.env), ...record.spec.env, ...secrets, AEGIS_INSTANCE_ID: record.id },
    cwd: record.spec.workspace === null ? image.config.workingDir || null : "/workspace",
    token,
    bindings: record.spec.bindings.map(({ name, port }) => ({ name, port })),
    guest_api_port: GUEST_API_PORT,
  };
}

const cannotFilter = (driver: string): AegisError =>
  new AegisError("driver_failed", `The ${driver} driver cannot filter the network: only mode "open" works with it.`);

const parseEnv = (entries: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    entries
      .filter((entry) => entry.includes("="))
      .map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]),
  );
