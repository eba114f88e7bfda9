import { AegisError } from "@aegis/protocol/errors";
import type { MachineSpec, WarmSpec } from "../../core/driver.ts";
import { exists } from "../linux/cgroup-layout.ts";
import { imagePath } from "../linux/disk-image.ts";
import type { HomeMachines } from "../linux/home-machines.ts";
import type { BootPlace } from "../linux/machine-places.ts";
import { bootMicrovm, startFromTemplate } from "./boot-microvm.ts";
import type { MicrovmHost } from "./launch-microvm.ts";
import type { MicrovmMachine } from "./microvm-machine.ts";
import { type TemplateDraft, Templates } from "./templates.ts";

export interface WarmStartsParts {
  machines: HomeMachines<MicrovmMachine>;
  host: MicrovmHost;
  /** whether a first boot that could have used a template is followed by making one */
  byItself: boolean;
  log: (message: string) => void;
}

/**
 * Starts machines from templates: booted once, written down, and taken up under another name as often as wanted. An instance
 * starts so when it has no disk yet, since the memory of a template knows the template's, and when it has no workspace,
 * since QEMU cannot write down a machine that shares one.
 */
export class WarmStarts {
  readonly #parts: WarmStartsParts;
  readonly #templates: Templates;
  /** by folder */
  readonly #making = new Map<string, Promise<void>>();
  readonly #closing = new AbortController();

  constructor(parts: WarmStartsParts) {
    this.#parts = parts;
    this.#templates = new Templates(parts.host.platform);
  }

  /** @returns null where it has to boot */
  async start(spec: MachineSpec, signal?: AbortSignal): Promise<MicrovmMachine | null> {
    const { machines, host, log } = this.#parts;
    if (!(await this.#isFirst(spec))) return null;
    const template = await this.#templates.find(spec);
    if (template === null) {
      if (this.#parts.byItself) this.#makeBehind(spec);
      return null;
    }
    let began = false;
    const start = (place: BootPlace, disk: string): Promise<MicrovmMachine> => {
      began = true;
      return startFromTemplate(host, place, disk, spec, template, signal);
    };
    try {
      return await machines.make(spec, start, signal);
    } catch (error) {
      // the disk may be another's that is being started
      if (!began) throw error;
      await machines.discard(spec.instanceId);
      signal?.throwIfAborted();
      if (error instanceof AegisError && error.code === "disk_full") throw error;
      await this.#templates.drop(spec);
      log(`${spec.instanceId} boots cold, since its template is of no use and was removed: ${String(error)}`);
      return null;
    }
  }

  /** Makes a template where there is none. @throws AegisError as a boot and a hibernation do */
  make(spec: WarmSpec, signal: AbortSignal): Promise<void> {
    const id = this.#templates.folderOf(spec);
    const making =
      this.#making.get(id) ??
      this.#make(spec, AbortSignal.any([signal, this.#closing.signal])).finally(() => this.#making.delete(id));
    this.#making.set(id, making);
    return making;
  }

  async #make(spec: WarmSpec, signal: AbortSignal): Promise<void> {
    if ((await this.#templates.find(spec)) !== null) return;
    await this.#templates.make(spec, (draft) => this.#fill(spec, draft, signal));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled(this.#making.values());
  }

  async #isFirst({ instanceId, workspace }: MachineSpec): Promise<boolean> {
    return workspace === null && !(await exists(imagePath(this.#parts.machines.disk(instanceId))));
  }

  #makeBehind(spec: WarmSpec): void {
    const { signal } = this.#closing;
    this.make(spec, signal).catch((error: unknown) => {
      if (!signal.aborted) this.#parts.log(`no template was made of ${spec.image.digest}: ${String(error)}`);
    });
  }

  /** Nobody's: its name means nothing, it has no address, and nothing of it is on any network. */
  async #fill(wanted: WarmSpec, { instanceId, diskFolder, key }: TemplateDraft, signal: AbortSignal): Promise<void> {
    const { machines, host } = this.#parts;
    const spec: MachineSpec = {
      ...wanted,
      instanceId,
      boot: 1,
      hostname: "template",
      network: { mode: "none" },
      workspace: null,
    };
    const machine = await machines.make(
      spec,
      (place) => bootMicrovm(host, place, diskFolder, spec, "boots as nobody", signal),
      signal,
    );
    try {
      await machine.shed();
      await machine.pause();
      await machine.hibernate(key, signal);
    } finally {
      await machine.kill();
      await machine.remove();
    }
  }
}
