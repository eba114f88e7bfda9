import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

const SWITCH = "/proc/sys/net/ipv4/ip_forward";

/** The host's forwarding switch. The mark says that it was off before us, and outlives the daemon that turned it on. */
export class IpForward {
  readonly #mark: string;

  constructor(folder: string) {
    this.#mark = join(folder, "forwarding-was-off");
  }

  async on(): Promise<void> {
    if ((await readFile(SWITCH, "utf8")).trim() !== "0") return;
    await writeFile(this.#mark, "");
    await writeFile(SWITCH, "1");
  }

  /** Turns forwarding off again if it was us who turned it on. */
  async restore(): Promise<void> {
    const ours = await rm(this.#mark).then(
      () => true,
      () => false,
    );
    if (ours) await writeFile(SWITCH, "0");
  }
}
