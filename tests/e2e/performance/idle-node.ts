import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Series } from "./figure.ts";
import { memoryOf } from "./process-memory.ts";

/** The memory of a Node that has nothing to do: no daemon in Node can be smaller. */
export async function idleNode(): Promise<Series> {
  const script = "setInterval(() => undefined, 60_000); console.log('up')";
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    await once(child.stdout, "data");
    return { label: "Node with nothing to do", values: [memoryOf(child.pid ?? 0).rss] };
  } finally {
    child.kill("SIGKILL");
  }
}
