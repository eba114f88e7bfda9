import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The first line that a program says of itself; null when it cannot be run. */
export async function versionOf(command: string, args: string[]): Promise<string | null> {
  try {
    // as root through sudo, and as a plain user whose PATH lacks the sbin folders
    const env = { ...process.env, PATH: `${process.env["PATH"]}:/usr/local/sbin:/usr/sbin:/sbin` };
    const { stdout, stderr } = await run(command, args, { env });
    return (stdout || stderr).split("\n")[0]?.trim() ?? "";
  } catch (error) {
    if (error instanceof Error) return null;
    throw error;
  }
}
