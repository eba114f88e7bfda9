import { COMMAND } from "./bench-daemon.ts";
import type { RawRuntime } from "./raw/raw-runtime.ts";

/** Runs `use` beside a container by hand that serves the same page. @param use gets the port of a plain proxy to it */
export async function withRawServer<T>(
  raw: RawRuntime,
  { name, wakes }: { name: string; wakes: boolean },
  use: (port: number) => Promise<T>,
): Promise<T> {
  await raw.call("prepare", { name, runtime: "crun", command: COMMAND });
  await raw.call("bootToFirstByte", { name });
  const result = await use(await raw.call("proxy", { name, wakes }));
  await raw.call("remove", { name });
  return result;
}
