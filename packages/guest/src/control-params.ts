import type { HostNotifications, HostRequests, RunParams } from "@aegis/protocol/control";
import { RpcFailure } from "./rpc-failure.ts";
import { isCommand, isEnv, isIntegerIn, isKernelString, isNullOr, isPort, isRecord } from "./json-shape.ts";
import { signalNumber } from "./process-exit.ts";

const MAX_GRACE_MS = 24 * 3600 * 1000;

/** @throws RpcFailure that names the field */
export function parseRun(params: unknown): RunParams {
  if (!isRecord(params)) throw RpcFailure.invalidParams("run takes an object");
  const { command, env, cwd, token, bindings, guest_api_port } = params;
  if (!isCommand(command)) throw RpcFailure.invalidParams("command is no list of texts, or empty, or holds a NUL");
  if (!isEnv(env)) throw RpcFailure.invalidParams("env is no map of names to texts");
  if (!isNullOr(cwd, isKernelString)) throw RpcFailure.invalidParams("cwd is neither a path nor null");
  if (typeof token !== "string") throw RpcFailure.invalidParams("token is no text");
  if (!isBindings(bindings)) throw RpcFailure.invalidParams("bindings is no list of {name, port}");
  if (!isPort(guest_api_port)) throw RpcFailure.invalidParams("guest_api_port is no port");
  return { command, env, cwd, token, bindings, guest_api_port };
}

export function parseToken(params: unknown): HostRequests["token"]["params"] {
  if (!isRecord(params) || typeof params["token"] !== "string") throw RpcFailure.invalidParams("token is no text");
  return { token: params["token"] };
}

/** @returns the signal's number */
export function parseSignal(params: unknown): number {
  const name = isRecord(params) ? params["signal"] : undefined;
  const number = typeof name === "string" ? signalNumber(name) : null;
  if (number === null) throw RpcFailure.invalidParams(`there is no signal ${JSON.stringify(name)}`);
  return number;
}

export function parseShutdown(params: unknown): HostRequests["shutdown"]["params"] {
  const grace_ms = isRecord(params) ? params["grace_ms"] : undefined;
  if (!isIntegerIn(grace_ms, 0, MAX_GRACE_MS)) throw RpcFailure.invalidParams("grace_ms is no number of milliseconds");
  return { grace_ms };
}

/** 0, which is no line, when it is malformed: a notification has no answer. */
export function parseSaved(params: unknown): number {
  const seq = isRecord(params) ? params["seq"] : undefined;
  return isIntegerIn(seq, 1, Number.MAX_SAFE_INTEGER) ? seq : 0;
}

/** Null when it is malformed: a notification has no answer. */
export function parseRefused(params: unknown): HostNotifications["stream.refused"] | null {
  if (!isRecord(params) || typeof params["stream_id"] !== "string") return null;
  return { stream_id: params["stream_id"], error: String(params["error"]) };
}

const isBindings = (value: unknown): value is RunParams["bindings"] =>
  Array.isArray(value) &&
  value.every((entry) => isRecord(entry) && typeof entry["name"] === "string" && isPort(entry["port"]));
