import { AegisError } from "@aegis/protocol/errors";
import type { Cli } from "../cli.ts";
import type { Register } from "../command-table.ts";
import { good, weak, type Finding } from "../doctor/finding.ts";
import { checkKernel } from "../doctor/kernel.ts";
import { checkMachine } from "../doctor/machine.ts";
import { checkTools } from "../doctor/tools.ts";
import { table } from "../render/table.ts";

export const register: Register = (command, cli) => {
  command.action(async () => {
    const findings = [
      ...checkMachine(cli.home, cli.context.env),
      ...(await checkTools()),
      ...checkKernel(),
      await checkDaemon(cli),
    ];
    cli.exitCode = findings.some(({ verdict }) => verdict === "missing") ? 1 : 0;
    cli.answer(findings, () => findingsText(cli, findings));
  });
};

async function checkDaemon(cli: Cli): Promise<Finding> {
  try {
    const { pid, version } = await cli.client.status();
    return good("aegisd", `running, pid ${pid}, version ${version}`);
  } catch (error) {
    if (!(error instanceof AegisError)) throw error;
    return weak("aegisd", error.code === "unavailable" ? "not running" : error.message, "aegis up");
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
