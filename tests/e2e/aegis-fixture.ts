import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import type { ExecRequest, LogLine } from "../../packages/protocol/src/exec.ts";
import type { CreateInstance, InstanceView } from "../../packages/protocol/src/instance.ts";
import { socketPathOf } from "../../packages/sdk/src/aegis-home.ts";
import { AegisClient } from "../../packages/sdk/src/client.ts";
import { launchDaemon, runningDaemon, stopDaemon } from "../../packages/sdk/src/daemon-process.ts";
import { waitForInstance } from "../../packages/sdk/src/instance-watch.ts";
import { guestFolder, isMicrovm, vmFolder } from "./driver-host.ts";
import { type FixtureImage, IMAGES, importImages } from "./fixture-images.ts";
import { HostLeftovers } from "./host-leftovers.ts";

const POLL_MS = 10;

export interface AegisOptions {
  /** more of the daemon's environment */
  env?: Record<string, string>;
  /** put into its store; the first one is the default image */
  images?: readonly FixtureImage[];
}

/** How a command in an instance ended, and what it printed. */
export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** False where the OCI runtime cannot map a workspace's owner: the daemon then refuses workspaces. */
export const hasWorkspaces = process.env["AEGIS_RUNTIME"] !== "runc";

/**
 * A real aegisd on a home of its own. To be ended with {@link Aegis.stop} in `afterAll`, which also checks that nothing
 * of it is left on the host.
 */
export async function startAegis(options: AegisOptions = {}): Promise<Aegis> {
  guestFolder();
  if (isMicrovm || options.env?.["AEGIS_DRIVER"] === "microvm") vmFolder();
  const aegis = new Aegis(mkdtempSync("/tmp/aegis-e2e-"), options);
  try {
    await aegis.start();
  } catch (error) {
    rmSync(aegis.home, { recursive: true, force: true });
    throw error;
  }
  try {
    await importImages(aegis.client, options.images ?? ["busybox"]);
    return aegis;
  } catch (error) {
    await aegis.discard();
    throw error;
  }
}

export class Aegis {
  readonly home: string;
  readonly client: AegisClient;
  readonly env: Record<string, string>;
  readonly #leftovers: HostLeftovers;

  constructor(home: string, { env = {}, images = ["busybox"] }: AegisOptions) {
    this.home = home;
    this.client = new AegisClient({ socketPath: socketPathOf(home) });
    this.env = {
      PATH: process.env["PATH"] ?? "",
      AEGIS_RUNTIME: process.env["AEGIS_RUNTIME"] ?? "auto",
      AEGIS_DRIVER: process.env["AEGIS_DRIVER"] ?? "auto",
      ...(process.env["AEGIS_SUBNET"] === undefined ? {} : { AEGIS_SUBNET: process.env["AEGIS_SUBNET"] }),
      AEGIS_ROUTER_PORT: "0",
      AEGIS_DEFAULT_IMAGE: IMAGES[images[0] ?? "busybox"],
      ...env,
      AEGIS_HOME: home,
    };
    this.#leftovers = new HostLeftovers(home);
  }

  // --- the daemon ---------------------------------------------------------------------------------------------------

  async start(): Promise<void> {
    await launchDaemon({ home: this.home, env: this.env });
    this.remember();
  }

  /** For a daemon that was started by other means: notes what must be gone at the end. */
  remember(): void {
    this.#leftovers.remember();
  }

  /** Ends the daemon without its instances, and starts the next one. */
  async restart(): Promise<void> {
    await stopDaemon(this.home, { stopInstances: false });
    await this.start();
  }

  /** Kills the daemon as a crash does; its instances run on. */
  async kill9(): Promise<void> {
    const { pid } = await this.client.status();
    process.kill(pid, "SIGKILL");
    // a process that is not watched as a child gives no event when it is gone, with its last thread
    while (existsSync(`/proc/${pid}`)) await delay(POLL_MS);
  }

  /** Ends everything, removes the home and checks that nothing is left. */
  async stop(): Promise<void> {
    expect(await this.discard()).toEqual([]);
  }

  /** @returns what could not be removed */
  async discard(): Promise<string[]> {
    if ((await runningDaemon(this.home)) === null) await this.start();
    await stopDaemon(this.home, { stopInstances: true });
    rmSync(this.home, { recursive: true, force: true });
    return this.leftovers();
  }

  /** What is left of a home that was removed, which must be nothing. */
  leftovers(): Promise<string[]> {
    return this.#leftovers.settled();
  }

  /** What the daemon has said, for a test that failed. */
  log(): string {
    return readFileSync(join(this.home, "data/aegisd.log"), "utf8");
  }

  // --- instances ----------------------------------------------------------------------------------------------------

  /** Creates an instance and waits until its workload runs, or has ended. */
  async boot(spec: CreateInstance): Promise<InstanceView> {
    const { id } = await this.client.instances.create(spec);
    return this.until(id, ({ state }) => state !== "starting");
  }

  /** Every instance there is. */
  async deleteAll(): Promise<void> {
    for (const { id } of await this.client.instances.list()) await this.client.instances.delete(id);
  }

  until(id: string, reached: (instance: InstanceView) => boolean): Promise<InstanceView> {
    return waitForInstance(this.client, id, reached);
  }

  reaches(id: string, state: InstanceView["state"]): Promise<InstanceView> {
    return this.until(id, (instance) => instance.state === state);
  }

  /** Runs a command to its end. */
  async exec(id: string, command: string[], more: Omit<ExecRequest, "command"> = {}): Promise<Ran> {
    const lines = { stdout: [] as string[], stderr: [] as string[] };
    let code = Number.NaN;
    for await (const step of this.client.instances.exec(id, { command, ...more })) {
      if ("line" in step) lines[step.stream].push(step.line);
      if ("exit_code" in step) code = step.exit_code;
    }
    return { code, stdout: lines.stdout.join("\n"), stderr: lines.stderr.join("\n") };
  }

  /** What a shell command in an instance prints; fails when it fails. */
  async sh(id: string, script: string): Promise<string> {
    const { code, stdout, stderr } = await this.exec(id, ["sh", "-c", script]);
    if (code !== 0) throw new Error(`${script}: exit code ${code}: ${stdout}\n${stderr}`);
    return stdout;
  }

  async logs(id: string): Promise<LogLine[]> {
    return Array.fromAsync(this.client.instances.logs(id));
  }

  /** Waits for a log line; what was printed before counts too. */
  async untilLogged(id: string, text: string): Promise<LogLine> {
    const ending = new AbortController();
    try {
      for await (const line of this.client.instances.logs(id, { follow: true, signal: ending.signal }))
        if (line.line.includes(text)) return line;
    } finally {
      ending.abort();
    }
    throw new Error(`the logs of ${id} ended without "${text}"`);
  }

  // --- raw HTTP, for what the client would not send -----------------------------------------------------------------

  call(method: string, path: string, body?: string): Promise<{ status: number; text: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    const socketPath = socketPathOf(this.home);
    const sent = request({ socketPath, method, path, headers, agent: false }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("error", reject);
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
    });
    sent.on("error", reject).end(body);
    return promise;
  }
}
