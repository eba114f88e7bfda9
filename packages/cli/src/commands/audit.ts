import { Argument, InvalidArgumentError, Option } from "commander";
import { AUDIT_ACTIONS, AUDIT_DECISIONS } from "@aegis/protocol/audit";
import type { AuditAction, AuditDecision, AuditVerdict } from "@aegis/protocol/audit";
import type { AuditQuery } from "@aegis/sdk/audit-api";
import type { Cli } from "../cli.ts";
import type { Register } from "../command-table.ts";
import { wholeNumber } from "../options/counts.ts";
import { finiteDuration } from "../options/duration.ts";
import { auditText } from "../render/audit-text.ts";
import { interruptible } from "../terminal/interruptible.ts";

interface AuditOptions {
  follow?: true;
  instance?: string;
  action?: AuditAction;
  decision?: AuditDecision;
  refused?: true;
  since?: string;
  limit: number;
}

export const register: Register = (command, cli) => {
  command
    .addArgument(new Argument("[verify]", "check that no entry was changed or removed").choices(["verify"]))
    .option("-f, --follow", "go on with new entries, until Ctrl-C")
    .option("--instance <name>", "what it did, and what was done to it")
    .option("--refused", "only what was not allowed")
    .addOption(new Option("--decision <decision>", "only what ended so").choices(AUDIT_DECISIONS))
    .addOption(new Option("--action <action>", "only this, as in instance.exec").choices(AUDIT_ACTIONS))
    .option("--since <time>", "only entries from then on, as in 2h or 2026-01-31T12:00:00Z", (text) => time(text, cli))
    .option("--limit <n>", "only the newest n of those that there are", wholeNumber, 1000)
    .action((what: "verify" | undefined, options: AuditOptions) =>
      what === "verify" ? verify(cli) : show(cli, options),
    );
};

const show = (cli: Cli, options: AuditOptions): Promise<void> =>
  interruptible(cli.context.signals, async (signal) => {
    const handles = new Map<string, string>();
    if (!cli.json) for (const { id, handle } of await cli.client.instances.list()) handles.set(id, handle);
    for await (const entry of cli.client.audit.entries({ ...queryOf(options), signal }))
      cli.answer(entry, () => auditText(entry, cli.palette, (id) => handles.get(id) ?? id));
  });

async function verify(cli: Cli): Promise<void> {
  const verdict = await cli.client.audit.verify();
  if (verdict.broken !== null) cli.exitCode = 1;
  cli.answer(verdict, () => verdictText(verdict));
}

function queryOf({ follow, instance, action, decision, refused, since, limit }: AuditOptions): AuditQuery {
  const ended = refused ? "refused" : decision;
  return {
    limit,
    ...(follow && { follow }),
    ...(instance !== undefined && { instance }),
    ...(action !== undefined && { action }),
    ...(ended !== undefined && { decision: ended }),
    ...(since !== undefined && { since }),
  };
}

function time(text: string, cli: Cli): string {
  if (/^\d+(\.\d+)?[smhd]$/.test(text)) return new Date(cli.context.now() - finiteDuration(text) * 1000).toISOString();
  if (Number.isNaN(Date.parse(text))) throw new InvalidArgumentError("write it as 2h or 2026-01-31T12:00:00Z");
  return text;
}

const verdictText = ({ entries, files, first_seq, last_seq, broken }: AuditVerdict): string =>
  broken === null
    ? `${entries} entries (${first_seq ?? 0} to ${last_seq ?? 0}) in ${files} files, unbroken`
    : `the audit log was changed: ${broken}`;
