import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { NetworkPolicy } from "@aegis/protocol/network";
import { expect } from "vitest";
import type {
  Driver,
  DriverObserver,
  Machine,
  MachineSpec,
  NetworkRefusal,
} from "../../../packages/daemon/src/core/driver.ts";
import { LiveMachines, sh } from "../../../packages/daemon/test/drivers/live-machines.ts";
import { TestResolver } from "../../../packages/daemon/test/drivers/container/test-resolver.ts";
import { DriverHost } from "../driver-host.ts";
import { OutsideNetwork } from "../outside-network.ts";

/** What a program inside sees at once; a time-out would not say this. */
export const REFUSED = /refused|unreachable|prohibited|filtered|no route/i;
/** What a resolver inside says at once of a name that it may not know. */
export const UNKNOWN = /bad address|NXDOMAIN|can't find|not known/i;
/** a second public address, with the same servers */
export const OTHER = "203.0.113.11";
export const OTHER_PORT = 8081;

export const allowlist = (...allow: string[]): NetworkPolicy => ({ mode: "allowlist", allow });
export const fetch = (machine: Machine, target: string): Promise<string> =>
  sh(machine, `timeout 60 wget -qO- 'http://${target}/'`);

const addressesOf = (name: number): string[] => Array.from({ length: 32 }, (_, at) => `203.0.${120 + name}.${at + 1}`);
const namesOf = ({ outside, inLan }: OutsideNetwork): Record<string, string[]> => ({
  "one.test": [outside],
  "other.test": [OTHER],
  "a.wild.test": [OTHER],
  "xn--mnchen-3ya.test": [outside],
  "alias.test": ["elsewhere.example"],
  "elsewhere.example": [outside],
  "chain.test": ["step.example."],
  "step.example": ["elsewhere.example."],
  "loop.test": ["loop.example."],
  "loop.example": ["loop.test."],
  "inward.test": ["lan.example"],
  "lan.example": [inLan],
  "meta.test": ["169.254.169.254"],
  "mixed.test": [inLan, "127.0.0.1", outside],
  "rebind.test": [outside],
  ...Object.fromEntries(Array.from({ length: 10 }, (_, at) => [`n${at}.bulk.test`, addressesOf(at)])),
});

interface Recorded {
  pid: number;
  interfaceName: string;
}

/** A home with a driver, and what instances of it may reach or not: the outside, its names, a server on the host. */
export class NetworkWorld {
  readonly outside = new OutsideNetwork();
  readonly resolver = new TestResolver("127.0.0.79", 53, namesOf(this.outside));
  readonly host = new DriverHost();
  readonly machines = new LiveMachines(() => this.#driver);
  /** what the driver has told of */
  readonly refusals: NetworkRefusal[] = [];
  readonly #listeners = new Set<() => void>();
  readonly #web: Server = createServer((_, response) => response.end("host\n"));
  readonly #observer: DriverObserver = {
    networkRefused: (refusal) => {
      this.refusals.push(refusal);
      for (const wake of this.#listeners) wake();
    },
  };
  readonly resolvConf = join(this.host.home, "resolv.conf");
  #driver: Driver = this.#newDriver();

  async start(): Promise<void> {
    writeFileSync(this.resolvConf, `nameserver ${this.resolver.address}\n`);
    this.#web.listen(0, "0.0.0.0");
    await Promise.all([this.resolver.start(), this.outside.start(), once(this.#web, "listening")]);
    this.outside.run("ip", "address", "add", `${OTHER}/32`, "dev", "lo");
    this.outside.spawn("busybox", "httpd", "-f", "-p", String(OTHER_PORT), "-h", "/etc");
    await this.#driver.start(this.#observer);
    this.host.remember();
  }

  async stop(): Promise<void> {
    await this.machines.discardAll();
    await this.#driver.close();
    this.#web.close();
    await Promise.all([this.resolver.stop(), this.outside.stop()]);
    expect(this.host.remove()).toEqual([]);
  }

  /** As if the daemon was started again, without its instances. */
  async restartDriver(): Promise<void> {
    await this.#driver.close();
    this.#driver = this.#newDriver();
    await this.#driver.start(this.#observer);
  }

  boot(network: NetworkPolicy, over: Partial<MachineSpec> = {}): Promise<Machine> {
    return this.machines.boot(this.host.spec({ network, ...over }));
  }

  /** Settles once it was told that the instance was refused that destination. */
  async refused(
    machine: Machine,
    destination: string | RegExp,
    protocol?: NetworkRefusal["protocol"],
  ): Promise<NetworkRefusal> {
    const matches = (text: string): boolean =>
      typeof destination === "string" ? text === destination : destination.test(text);
    for (;;) {
      const found = this.refusals.find(
        (one) =>
          one.instanceId === machine.instanceId &&
          matches(one.destination) &&
          (protocol === undefined || one.protocol === protocol),
      );
      if (found !== undefined) return found;
      await this.#nextRefusal();
    }
  }

  /** Everything that no mode lets through, each with what is to be reported. */
  async expectInsideIsClosed(machine: Machine): Promise<void> {
    const other = await this.boot({ mode: "open" });
    await sh(other, "echo secret > /tmp/index.html; httpd -p 8080 -h /tmp");
    const neighbour = (await sh(other, "hostname -i")).trim();
    const { port } = this.outside;
    const webPort = (this.#web.address() as AddressInfo).port;
    const targets = [
      `${this.outside.inLan}:${port}`,
      "169.254.169.254:80",
      `${this.outside.hostInLan}:${webPort}`,
      `${await gatewayOf(machine)}:${webPort}`,
      `${neighbour}:8080`,
    ];
    for (const target of targets) expect(await fetch(machine, target), target).toMatch(REFUSED);
    for (const target of targets)
      expect(await this.refused(machine, target)).toMatchObject({ protocol: "tcp", boot: 1, more: 0 });
    expect(await fetch(machine, `[2001:db8::1]:${port}`)).toMatch(/refused|unreachable|assign|bad address|invalid/i);
    await this.machines.end(other);
  }

  interfaceOf(machine: Machine): string {
    return this.#recordOf(machine).interfaceName;
  }

  tableOf(machine: Machine): string {
    return `aegis_${/^ag(\d+)-/.exec(this.interfaceOf(machine))?.[1] ?? ""}`;
  }

  /** Runs in the instance's network, with every right over it, and prints how the kernel answers. */
  inNetwork(machine: Machine, script: string): string {
    const { pid } = this.#recordOf(machine);
    const python = `import socket\ntry:\n ${script}\nexcept OSError as e: print(e)`;
    return execFileSync("nsenter", [`--net=/proc/${pid}/ns/net`, "timeout", "60", "python3", "-c", python], {
      encoding: "utf8",
    });
  }

  sendUdp(machine: Machine, address: string, to: number): string {
    return this.inNetwork(
      machine,
      `s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("${address}", ${to})); s.send(b"x"); s.recv(9)`,
    );
  }

  sendIcmp(machine: Machine, address: string): string {
    return this.inNetwork(
      machine,
      `s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); s.connect(("${address}", 0)); ` +
        `s.send(b"\\x08\\0\\xf7\\xff" + bytes(4)); s.recv(9)`,
    );
  }

  #newDriver(): Driver {
    return this.host.driver({ resolvConf: this.resolvConf });
  }

  #recordOf(machine: Machine): Recorded {
    const file = `/run/aegis/${this.host.homeKey}/${machine.instanceId}/machine.json`;
    return JSON.parse(readFileSync(file, "utf8")) as Recorded;
  }

  #nextRefusal(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#listeners.delete(wake);
        resolve();
      };
      this.#listeners.add(wake);
    });
  }
}

export const gatewayOf = async (machine: Machine): Promise<string> =>
  (await sh(machine, "cat /etc/resolv.conf")).replace("nameserver ", "");
