import { realpath } from "node:fs/promises";
import { delimiter, join } from "node:path";

/** @returns the file behind the `openclaw` command. @throws Error when PATH has none */
export async function openclawScript(env: Record<string, string | undefined>): Promise<string> {
  for (const folder of (env["PATH"] ?? "").split(delimiter)) {
    const script = await realpath(join(folder, "openclaw")).catch(() => null);
    if (script !== null) return script;
  }
  throw new Error("openclaw is not on PATH: the image is not a claw image");
}
