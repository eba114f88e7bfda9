#!/bin/sh
//bin/true; self=$(readlink -f "$0"); node="${self%/packages/cli/bin/aegis.mjs}/node_modules/node/bin/node"; [ -x "$node" ] || node=node; exec "$node" --disable-warning=ExperimentalWarning "$self" "$@"

// The two lines above make a shell start the project's own Node 24 at once; `node aegis.mjs` comes here with any Node.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import module from "node:module";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

const NODE = fileURLToPath(new URL("../../../node_modules/node/bin/node", import.meta.url));
const CACHE = fileURLToPath(new URL("../../../node_modules/.cache/aegis-cli", import.meta.url));

if (Number(process.versions.node.split(".")[0]) >= 24) {
  module.enableCompileCache?.(CACHE);
  await import("../src/main.ts");
} else if (existsSync(NODE)) {
  runWithOwnNode();
} else {
  process.stderr.write("aegis: Node 24 is not installed in this clone: run `npm install` in it first\n");
  process.exitCode = 1;
}

function runWithOwnNode() {
  const args = ["--disable-warning=ExperimentalWarning", fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  const child = spawn(NODE, args, { stdio: "inherit" });
  // a terminal sends Ctrl-C to both of us, so only the others are passed on
  process.on("SIGINT", () => (process.stdin.isTTY ? undefined : child.kill("SIGINT")));
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => {
    process.exitCode = signal === null ? (code ?? 1) : 128 + constants.signals[signal];
  });
}
