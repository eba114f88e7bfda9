import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { CgroupLayout } from "../../../../packages/daemon/src/drivers/linux/cgroup-layout.ts";
import { detectCgroupLayout } from "../../../../packages/daemon/src/drivers/linux/cgroup-layout.ts";
import type { RuntimeName } from "../../../../packages/daemon/src/drivers/container/oci-runtime.ts";
import type { RawCalls, RawSetup } from "./raw-calls.ts";
import { RawContainer } from "./raw-container.ts";
import { RawProxy } from "./raw-proxy.ts";

const run = promisify(execFile);

interface Opened {
  setup: RawSetup;
  layout: CgroupLayout;
}

/** Containers by hand, by name. Their addresses are from the range that is set aside for benchmarks. */
export class RawContainers implements RawCalls {
  readonly #containers = new Map<string, RawContainer>();
  readonly #proxies: RawProxy[] = [];
  #opened: Opened | null = null;
  #count = 0;

  async open(setup: RawSetup): Promise<void> {
    this.#opened = { setup, layout: await detectCgroupLayout() };
    await run("ip", ["address", "replace", `${gatewayOf(setup)}/32`, "dev", "lo"]);
  }

  async prepare({ name, runtime, command }: { name: string; runtime: RuntimeName; command: string[] }): Promise<void> {
    const { setup, layout } = this.#need();
    const number = (this.#count += 1);
    const address = `198.18.${setup.key}.${1 + (number % 250)}`;
    const gateway = gatewayOf(setup);
    const container = new RawContainer({ name, runtime, command, setup, layout, address, gateway });
    await container.prepare();
    this.#containers.set(name, container);
  }

  boot({ name }: { name: string }): Promise<number> {
    return this.#named(name).boot();
  }

  bootToFirstByte({ name }: { name: string }): Promise<number> {
    return this.#named(name).bootToFirstByte();
  }

  exec({ name, command }: { name: string; command: string[] }): Promise<number> {
    return this.#named(name).exec(command);
  }

  async freeze({ name }: { name: string }): Promise<void> {
    this.#named(name).setFrozen(true);
  }

  stop({ name }: { name: string }): Promise<number> {
    return this.#named(name).stop();
  }

  async remove({ name }: { name: string }): Promise<number> {
    const took = await this.#named(name).remove();
    this.#containers.delete(name);
    return took;
  }

  async proxy({ name, wakes }: { name: string; wakes: boolean }): Promise<number> {
    const container = this.#named(name);
    const { port } = this.#need().setup;
    const proxy = new RawProxy(container.address, port, () => wakes && container.setFrozen(false));
    this.#proxies.push(proxy);
    return proxy.listen();
  }

  async close(): Promise<void> {
    const opened = this.#opened;
    if (opened === null) return;
    this.#opened = null;
    for (const proxy of this.#proxies) proxy.close();
    for (const container of this.#containers.values()) await container.remove();
    await run("ip", ["address", "delete", `${gatewayOf(opened.setup)}/32`, "dev", "lo"]);
  }

  #named(name: string): RawContainer {
    const container = this.#containers.get(name);
    if (container === undefined) throw new Error(`there is no container ${name}`);
    return container;
  }

  #need(): Opened {
    if (this.#opened === null) throw new Error("not open");
    return this.#opened;
  }
}

const gatewayOf = ({ key }: RawSetup): string => `198.18.${key}.254`;
