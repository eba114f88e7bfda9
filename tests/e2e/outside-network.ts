import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { noteInRun, undo } from "./run-notes.ts";

const ip = (...args: string[]): string => execFileSync("ip", args, { encoding: "utf8" });

/**
 * A network namespace that plays the world beyond the host: `inLan` lies in a private network of the host's, `outside`
 * is a public test address behind it as behind a router. It has no route to instances, so only masqueraded packets are
 * answered.
 */
export class OutsideNetwork {
  readonly hostInLan = "10.77.0.1";
  readonly inLan = "10.77.0.2";
  /** a public address in a network that the host is itself part of */
  readonly neighbour = "198.51.100.2";
  readonly outside = "203.0.113.10";
  readonly port = 8080;
  readonly #name = `aegistest${process.pid}`;
  readonly #link = `tst${process.pid}`;
  readonly #folder = mkdtempSync(join(tmpdir(), "aegis-outside-"));
  readonly #undo = [
    ["ip", "link", "delete", this.#link],
    ["ip", "netns", "delete", this.#name],
  ];
  #strike = (): void => undefined;
  readonly #programs: ChildProcess[] = [];

  async start(): Promise<void> {
    this.#strike = noteInRun({ kind: "undo", commands: this.#undo });
    ip("netns", "add", this.#name);
    ip("link", "add", this.#link, "type", "veth", "peer", "name", "lan0", "netns", this.#name);
    ip("address", "add", `${this.hostInLan}/30`, "dev", this.#link);
    ip("link", "set", this.#link, "up");
    ip("route", "add", "203.0.113.0/24", "via", this.inLan);
    this.run("ip", "link", "set", "lo", "up");
    this.run("ip", "address", "add", `${this.outside}/32`, "dev", "lo");
    this.run("ip", "address", "add", `${this.inLan}/30`, "dev", "lan0");
    this.run("ip", "link", "set", "lan0", "up");
    writeFileSync(join(this.#folder, "index.html"), "from outside\n");
    this.spawn("busybox", "httpd", "-f", "-p", String(this.port), "-h", this.#folder);
    await this.#answering();
  }

  /** Makes the host part of one more network, as a VPN or a second card does. */
  joinNeighbours(): void {
    ip("address", "add", "198.51.100.1/24", "dev", this.#link);
    this.run("ip", "address", "add", `${this.neighbour}/24`, "dev", "lan0");
  }

  /** Runs a program in the outside world. */
  run(...command: string[]): string {
    return execFileSync("nsenter", [...this.#enter(), ...command], { encoding: "utf8", stdio: "pipe" });
  }

  /** Starts a program in the outside world, which ends with it at the latest. */
  spawn(...command: string[]): ChildProcess {
    const program = spawn("nsenter", [...this.#enter(), ...command], { stdio: ["ignore", "pipe", "inherit"] });
    this.#programs.push(program);
    return program;
  }

  #enter(): string[] {
    return [`--net=/run/netns/${this.#name}`];
  }

  async #answering(): Promise<void> {
    for (;;) {
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const socket = connect(this.port, this.outside, () => resolve(true));
      socket.on("error", () => resolve(false));
      const answers = await promise;
      socket.destroy();
      if (answers) return;
    }
  }

  async stop(): Promise<void> {
    const running = this.#programs.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    const ended = running.map((program) => once(program, "exit"));
    for (const program of running) program.kill("SIGKILL");
    await Promise.all(ended);
    undo(this.#undo);
    this.#strike();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
