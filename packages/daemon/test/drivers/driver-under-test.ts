import { afterAll, beforeAll } from "vitest";
import type { Driver, MachineSpec } from "../../src/core/driver.ts";
import { LiveMachines } from "./live-machines.ts";

export interface DriverUnderTest {
  driver: Driver;
  /** fields of the spec that the backend wants otherwise, such as a real root file system */
  spec?: Partial<MachineSpec>;
  /** a command that listens on a port of all addresses and sends back what it gets; by default busybox's */
  echoServer?: (port: number) => string[];
  /** a driver as a new daemon on the same home would make it; the first one is closed by then */
  again(): Promise<Driver>;
  cleanUp(): Promise<void>;
}

/** One suite's driver: started before its tests, with nothing left of its machines behind them. */
export class TestedDriver {
  readonly machines = new LiveMachines(() => this.driver);
  readonly #prefix: string;
  #instances = 0;
  #tested: DriverUnderTest | null = null;
  #driver: Driver | null = null;

  /** To be called where a suite is described. @param prefix of its instances' ids */
  constructor(prefix: string, makeDriver: () => Promise<DriverUnderTest>) {
    this.#prefix = prefix;
    beforeAll(async () => {
      this.#tested = await makeDriver();
      this.#driver = this.#tested.driver;
      await this.driver.start();
    });
    afterAll(async () => {
      await this.machines.discardAll();
      await this.driver.close();
      await this.#tested?.cleanUp();
    });
  }

  get driver(): Driver {
    if (this.#driver === null) throw new Error("the driver was not made");
    return this.#driver;
  }

  /** Of an instance of its own. */
  spec(over: Partial<MachineSpec> = {}): MachineSpec {
    return {
      instanceId: `${this.#prefix}-${++this.#instances}`,
      boot: 1,
      hostname: "contract",
      image: { digest: "sha256:0", derived: "/nonexistent" },
      rootfs: "/nonexistent",
      user: "",
      memoryMb: 128,
      diskMb: 1024,
      vcpus: 1,
      readOnlyRoot: false,
      network: { mode: "open" },
      workspace: null,
      ...this.#tested?.spec,
      ...over,
    };
  }

  echoServer(port: number): string[] {
    return this.#tested?.echoServer?.(port) ?? ["nc", "-ll", "-p", String(port), "-e", "cat"];
  }

  /** Closes the driver and starts one as the next daemon would. */
  async startAgain(meanwhile: () => Promise<void> = async () => undefined): Promise<void> {
    await this.driver.close();
    await meanwhile();
    this.#driver = (await this.#tested?.again()) ?? null;
    await this.driver.start();
  }
}
