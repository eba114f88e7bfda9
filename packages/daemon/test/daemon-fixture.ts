import http from "node:http";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import type { InstanceView } from "@aegis/protocol/instance";
import type { DriverFeatures } from "../src/core/driver.ts";
import type { Image } from "../src/core/images.ts";
import { startDaemon } from "../src/daemon.ts";
import type { Daemon } from "../src/daemon.ts";
import { FakeDriver, FakeHost } from "../src/drivers/fake/fake-driver.ts";
import { openHome } from "../src/home.ts";
import type { Home } from "../src/home.ts";
import type { DiskSpace } from "../src/core/disk-watch.ts";
import { fakeImages } from "./fake-images.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

const image: Image = {
  refs: ["docker.io/library/test:latest"],
  digest: `sha256:${"0".repeat(64)}`,
  size_bytes: 1,
  created_at: "2026-01-01T00:00:00.000Z",
  rootfs: "/nonexistent",
  derived: "/nonexistent",
  config: { env: ["FROM_IMAGE=yes"], entrypoint: [], cmd: [], user: "", workingDir: "" },
  sourceDigests: [],
};

const images = fakeImages(image);

export interface Answer<T = unknown> {
  status: number;
  body: T;
  text: string;
}

export interface DaemonFixture {
  home: Home;
  host: FakeHost;
  driver: FakeDriver;
  warnings: string[];
  call<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<Answer<T>>;
  get(id: string): Promise<InstanceView>;
  /** resolves when the instance is in that state; fails with the last view when it is failed instead */
  /** Any of the states; one that does not last may be missed on a busy machine. */
  reaches(id: string, ...states: InstanceView["state"][]): Promise<InstanceView>;
  daemon: Daemon;
  /** what there is room for; to be changed by a test */
  space: DiskSpace;
}

/** those of this clone */
const KITS = fileURLToPath(new URL("../../../kits", import.meta.url));

/** A whole daemon over the fake driver, on a home of its own; ended with the test. */
export async function daemonFixture(
  again?: Pick<DaemonFixture, "home" | "host">,
  features: Partial<DriverFeatures> = {},
): Promise<DaemonFixture> {
  const home = again?.home ?? openHome({ AEGIS_HOME: temporaryFolder() }, owner);
  const host = again?.host ?? new FakeHost();
  const driver = new FakeDriver(host, features);
  const warnings: string[] = [];
  const space = { path: home.root, freeBytes: 50 * 2 ** 30, totalBytes: 100 * 2 ** 30 };
  const daemon = await startDaemon({
    driverReason: "a test asks for it",
    home,
    owner,
    driver,
    images,
    gauge: { space: () => space, measure: async () => 1000 },
    settings: {
      defaultImage: "test",
      routerPort: 0,
      driver: "container",
      warmStarts: "asked",
      runtime: "auto",
      reclaim: "auto",
      mirrors: {},
      publicUrl: null,
      disk: { budgetBytes: null, floorBytes: null },
      vmDir: "/nonexistent",
      harnessDir: "",
      kitsDir: KITS,
    },
    log: (message) => void warnings.push(message),
    onShutdown: () => undefined,
  });
  onTestFinished(() => daemon.close(true));
  const call = <T>(method: string, path: string, body?: unknown) => request<T>(home.socket, method, path, body);
  const get = async (id: string) => (await call<InstanceView>("GET", `/v1/instances/${id}`)).body;
  const reaches = async (id: string, ...states: InstanceView["state"][]) => {
    for await (const event of events(home.socket)) {
      if (event["type"] !== "instance.state" && event["type"] !== "instance.created") continue;
      const view = await get(id);
      if (states.includes(view.state)) return view;
      if (view.state === "failed") throw new Error(`failed: ${view.failure}`);
    }
    throw new Error("the events ended");
  };
  return { home, host, driver, warnings, daemon, space, call, get, reaches };
}

function request<T>(socketPath: string, method: string, path: string, body: unknown): Promise<Answer<T>> {
  const raw = typeof body === "string" || body === undefined ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const headers = raw === undefined ? {} : { "content-type": "application/json" };
    const call = http.request({ socketPath, method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        const json = response.headers["content-type"]?.startsWith("application/json") === true;
        resolve({ status: response.statusCode ?? 0, body: (json ? JSON.parse(text) : undefined) as T, text });
      });
    });
    call.on("error", reject);
    call.end(raw);
  });
}

async function* events(socketPath: string): AsyncGenerator<Record<string, unknown>> {
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  const call = http.get({ socketPath, path: "/v1/events", agent: false }, resolve).on("error", reject);
  try {
    let rest = "";
    for await (const chunk of await promise) {
      const lines = (rest + String(chunk)).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) yield JSON.parse(line) as Record<string, unknown>;
    }
  } finally {
    call.destroy();
  }
}

/** The lines of an NDJSON answer. */
export const ndjson = (text: string): Record<string, unknown>[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
