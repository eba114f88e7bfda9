import { AegisError } from "@aegis/protocol/errors";
import type { DaemonStatus } from "@aegis/protocol/status";
import type { Cli } from "../cli.ts";
import type { Register } from "../command-table.ts";
import { checkDriver } from "../doctor/driver.ts";
import { good, weak, type Finding } from "../doctor/finding.ts";
import { checkKernel } from "../doctor/kernel.ts";
import { checkMachine } from "../doctor/machine.ts";
import { checkTools } from "../doctor/tools.ts";
import { table } from "../render/table.ts";

export const register: Register = (command, cli) => {
  command.action(async () => {
    const { env } = cli.context;
    const { daemon, status } = await checkDaemon(cli);
    const driver = await checkDriver(status, env);
    const findings = [...checkMachine(cli.home, env), ...(await checkTools()), ...checkKernel(), ...driver, daemon];
    cli.exitCode = findings.some(({ verdict }) => verdict === "missing") ? 1 : 0;
    cli.answer(findings, () => findingsText(cli, findings));
  });
};

async function checkDaemon(cli: Cli): Promise<{ daemon: Finding; status: DaemonStatus | null }> {
  try {
    const status = await cli.client.status();
    return { status, daemon: good("aegisd", `running, pid ${status.pid}, version ${status.version}`) };
  } catch (error) {
    if (!(error instanceof AegisError)) throw error;
    const found = error.code === "unavailable" ? "not running" : error.message;
    return { status: null, daemon: weak("aegisd", found, "aegis up") };
  }
}

function findingsText(cli: Cli, findings: Finding[]): string {
  const { green, yellow, red, dim } = cli.palette;
  const marks = { good: green("ok"), weak: yellow("weak"), missing: red("MISSING") };
  const rows = findings.map(({ name, verdict, found, fix }) => [
    name,
    marks[verdict],
    fix === null ? found : `${found}; ${dim(fix)}`,
  ]);
  const count = findings.filter(({ verdict }) => verdict === "missing").length;
  const last = count === 0 ? "everything that is needed is here" : `${count} missing: see what to do beside each`;
  return `${table(["WHAT", "", "FOUND"], rows)}\n\n${last}`;
}
