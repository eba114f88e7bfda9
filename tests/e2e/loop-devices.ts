import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Loop devices of the host whose file lies in a folder, with that file; also one that was deleted since. */
export function loopDevicesOf(folder: string): string[] {
  return readdirSync("/sys/block")
    .filter((name) => name.startsWith("loop"))
    .map((name) => `${name}: ${backingFile(name)}`)
    .filter((line) => line.includes(`: ${folder}/`));
}

/** Empty for a device without a file. */
function backingFile(name: string): string {
  try {
    return readFileSync(join("/sys/block", name, "loop/backing_file"), "utf8").trim();
  } catch {
    return "";
  }
}
