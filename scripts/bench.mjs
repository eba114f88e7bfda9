import { join } from "node:path";
import { bootstrap } from "./bootstrap.mjs";
import { runMain } from "./setup/failure.mjs";
import { NODE, ROOT } from "./setup/project.mjs";
import { handOver } from "./setup/root.mjs";

await runMain(async () => {
  const done = await bootstrap({ tests: true, why: "the measurements run real instances" });
  if (done !== null) return done;
  const bench = join(ROOT, "tests/e2e/performance/bench.ts");
  return handOver(NODE, ["--disable-warning=ExperimentalWarning", bench, ...process.argv.slice(2)]);
});
