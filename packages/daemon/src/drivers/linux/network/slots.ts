import { readdir } from "node:fs/promises";
import { AegisError } from "@aegis/protocol/errors";
import type { AddressBlock } from "./address-block.ts";

/** The addresses of a block: the one that was free for the longest time comes first, so that few are mixed up in logs. */
export class Slots {
  readonly #block: AddressBlock;
  readonly #free: Set<number>;

  constructor(block: AddressBlock) {
    this.#block = block;
    this.#free = new Set(Array.from({ length: block.slots }, (_, slot) => slot));
  }

  /**
   * @param wished taken where it is free
   * @throws AegisError `driver_failed` when every address is taken
   */
  async take(wished: number | null = null): Promise<number> {
    // Interfaces go some time after their instances, and those of a daemon that crashed may be there still.
    const names = await readdir("/sys/class/net");
    const present = new Set(names.map((name) => this.#block.slotOf(name)));
    const first = wished !== null && this.#free.has(wished) ? [wished] : [];
    for (const slot of [...first, ...this.#free])
      if (!present.has(slot)) {
        this.#free.delete(slot);
        return slot;
      }
    throw new AegisError(
      "driver_failed",
      `All ${this.#block.slots} instance addresses of this home are in use. Stop an instance.`,
    );
  }

  keep(slot: number): void {
    this.#free.delete(slot);
  }

  release(slot: number): void {
    this.#free.add(slot);
  }
}
