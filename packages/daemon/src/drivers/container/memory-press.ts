import { errorCode, type MemoryGroup } from "../linux/memory-group.ts";

/** One way to make the kernel swap out what a group holds. */
export interface MemoryPress {
  /** settings that {@link prepare} and {@link push} change */
  changes: readonly string[];
  usage(): Promise<number>;
  prepare(): Promise<void>;
  /** @returns false when the kernel could not do all of it */
  push(usage: number, bytes: number): Promise<boolean>;
}

/** @returns null where the kernel offers no way */
export async function memoryPress(group: MemoryGroup): Promise<MemoryPress | null> {
  if (group.version === "v1") return new LimitPress(group);
  // kernels before 5.19 have none
  return (await group.has("memory.reclaim")) ? new ReclaimPress(group) : null;
}

const EAGER = "100";

/** cgroup v1: the kernel makes room while the limit is lowered. Swap is counted apart, so that limit stays as it is. */
class LimitPress implements MemoryPress {
  readonly changes = ["memory.limit_in_bytes", "memory.swappiness"];
  readonly #group: MemoryGroup;

  constructor(group: MemoryGroup) {
    this.#group = group;
  }

  async usage(): Promise<number> {
    return Number(await this.#group.read("memory.usage_in_bytes"));
  }

  async prepare(): Promise<void> {
    await this.#group.write("memory.swappiness", EAGER);
  }

  push(usage: number, bytes: number): Promise<boolean> {
    return pushed(this.#group.write("memory.limit_in_bytes", String(Math.max(usage - bytes, 0))));
  }
}

/** cgroup v2: the kernel is asked directly; instances may not swap otherwise. */
class ReclaimPress implements MemoryPress {
  readonly changes = ["memory.swap.max"];
  readonly #group: MemoryGroup;
  #argument = ` swappiness=${EAGER}`;

  constructor(group: MemoryGroup) {
    this.#group = group;
  }

  async usage(): Promise<number> {
    return Number(await this.#group.read("memory.current"));
  }

  async prepare(): Promise<void> {
    if (await this.#group.has("memory.swap.max")) await this.#group.write("memory.swap.max", "max");
  }

  async push(usage: number, bytes: number): Promise<boolean> {
    try {
      return await pushed(this.#group.write("memory.reclaim", `${bytes}${this.#argument}`));
    } catch (error) {
      // older kernels take no argument
      if (errorCode(error) !== "EINVAL" || this.#argument === "") throw error;
      this.#argument = "";
      return this.push(usage, bytes);
    }
  }
}

/** Both codes say that the kernel has tried and that what is left cannot go, or not now. */
async function pushed(writing: Promise<void>): Promise<boolean> {
  try {
    await writing;
    return true;
  } catch (error) {
    if (errorCode(error) === "EBUSY" || errorCode(error) === "EAGAIN") return false;
    throw error;
  }
}
