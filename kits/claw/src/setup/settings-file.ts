import { chmodSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { AegisError } from "@aegis/protocol/errors";

const HEADING = `# Settings of Claw Kit, one NAME=value a line. The environment wins over them.
# Change them here or with \`aegis kit setup claw\`; \`npm start -- --help\` and docs/claw-kit.md list the names.
`;

/** What a file of `NAME=value` lines says; nothing where there is none. */
export const readSettingsFile = (file: string): Record<string, string | undefined> =>
  existsSync(file) ? parseEnv(readFileSync(file, "utf8")) : {};

/**
 * Puts values into a file of `NAME=value` lines: null takes a name out, and everything else stays as it is, comments
 * too. The file is replaced as a whole and only its owner can read it.
 * @throws AegisError `invalid_request` for a value that no line can hold
 */
export function writeSettingsFile(file: string, values: Readonly<Record<string, string | null>>): void {
  const old = existsSync(file) ? readFileSync(file, "utf8") : HEADING;
  const open = new Map(Object.entries(values));
  const lines = old
    .trimEnd()
    .split("\n")
    .flatMap((line) => {
      const name = /^\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=/.exec(line)?.[1];
      const value = name === undefined ? undefined : open.get(name);
      if (name === undefined || !(name in values)) return [line];
      open.delete(name);
      return typeof value === "string" ? [lineOf(name, value)] : [];
    });
  for (const [name, value] of open) if (value !== null) lines.push(lineOf(name, value));
  const draft = `${file}.new`;
  rmSync(draft, { force: true });
  writeFileSync(draft, `${lines.join("\n")}\n`, { mode: 0o600, flag: "wx" });
  chmodSync(draft, 0o600);
  renameSync(draft, file);
}

function lineOf(name: string, value: string): string {
  if (/^[\w.:/@%+,~*-]+$/.test(value)) return `${name}=${value}`;
  const quote = ["'", '"', "`"].find((mark) => !value.includes(mark));
  // a double-quoted \n would become a line break
  if (quote !== undefined && !/[\r\n\\]/.test(value)) return `${name}=${quote}${value}${quote}`;
  throw new AegisError(
    "invalid_request",
    `The value of ${name} cannot be written in one line: set it in the environment.`,
  );
}
