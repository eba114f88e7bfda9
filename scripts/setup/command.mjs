import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const KEPT_LINES = 12;

/**
 * Runs a command and hands each line of its output to `onLine`.
 * @returns {Promise<{code: number, tail: string}>} its exit code and its last lines
 */
export function runCommand(command, args, { onLine = () => undefined, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    const tail = [];
    const keep = (line) => {
      if (line.trim() === "") return;
      tail.push(line);
      if (tail.length > KEPT_LINES) tail.shift();
      onLine(line);
    };
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", keep);
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 1, tail: tail.map((line) => `  ${line}`).join("\n") }));
  });
}
