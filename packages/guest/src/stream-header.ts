import type { StreamHeader } from "@aegis/protocol/control";
import { GuestError } from "./guest-error.ts";
import { isCommand, isEnv, isIntegerIn, isKernelString, isNullOr, isPort, isRecord, parseJson } from "./json-shape.ts";

const MAX_TERMINAL_SIDE = 10_000;

/** @throws GuestError `invalid_header` that says which field is wrong */
export function parseStreamHeader(line: string): StreamHeader {
  const header = parseJson(line);
  if (!isRecord(header)) throw invalid("the first line is no JSON object");
  switch (header["kind"]) {
    case "control":
      return { kind: "control" };
    case "port":
      if (!isPort(header["port"])) throw invalid("port is not a number from 1 to 65535");
      return { kind: "port", port: header["port"] };
    case "accept":
      if (typeof header["stream_id"] !== "string") throw invalid("stream_id is no text");
      return { kind: "accept", stream_id: header["stream_id"] };
    case "exec":
      return parseExec(header);
    default:
      throw invalid("kind is none of control, port, accept, exec");
  }
}

function parseExec(header: Record<string, unknown>): StreamHeader {
  const { exec_id, command, env, cwd, user, tty } = header;
  if (typeof exec_id !== "string") throw invalid("exec_id is no text");
  if (!isCommand(command)) throw invalid("command is no list of texts, or empty, or holds a NUL");
  if (!isEnv(env)) throw invalid("env is no map of names to texts");
  if (!isNullOr(cwd, isKernelString)) throw invalid("cwd is neither a path nor null");
  if (!isNullOr(user, isKernelString)) throw invalid("user is neither a name nor null");
  if (!isNullOr(tty, isTerminalSize)) throw invalid("tty is neither {cols, rows} nor null");
  return { kind: "exec", exec_id, command, env, cwd, user, tty };
}

export const isTerminalSize = (value: unknown): value is { cols: number; rows: number } =>
  isRecord(value) &&
  isIntegerIn(value["cols"], 1, MAX_TERMINAL_SIDE) &&
  isIntegerIn(value["rows"], 1, MAX_TERMINAL_SIDE);

const invalid = (what: string): GuestError =>
  new GuestError("invalid_header", `The stream header is not valid: ${what}.`);
