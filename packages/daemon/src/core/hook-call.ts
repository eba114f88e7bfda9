import { randomUUID } from "node:crypto";
import type { ProcessExit } from "@aegis/protocol/control";
import { FrameType } from "@aegis/protocol/exec-frame";
import type { HookCall } from "@aegis/protocol/instance";
import { messageOf } from "@aegis/protocol/errors";
import type { Machine } from "./driver.ts";
import type { Harness } from "./harness.ts";
import type { WakeWords } from "./wake-request.ts";

const DEFAULT_TIMEOUT_S = 10;
/** what is kept of an answer; the rest is read and dropped */
const MAX_ANSWER_BYTES = 64 * 1024;
const MAX_TOKEN_CHARS = 4096;
const MAX_REASON_CHARS = 200;
const TOKEN_VARIABLE = "AEGIS_PAUSE_TOKEN";
const WAS_PAUSED = "it was paused meanwhile";

/** What the workload says. `token` is the last line of its answer, if that is JSON; `wake` is what it says of that, unchecked. */
export type HookAnswer = { yes: true; token: string | null; wake: WakeWords } | { yes: false; reason: string };

/**
 * Asks the workload one question, or tells it one thing. Never rejects: whatever goes wrong is a no, with the reason.
 * @param token what it answered before, for it to know what this is about
 * @param cut nobody wants to know any more, as the machine stands still
 */
export async function callHook(
  harness: Harness,
  machine: Machine,
  call: HookCall,
  token: string | null,
  cut: AbortSignal,
): Promise<HookAnswer> {
  const timeoutS = call.timeout_s ?? DEFAULT_TIMEOUT_S;
  const deadline = AbortSignal.any([AbortSignal.timeout(timeoutS * 1000), cut]);
  if (deadline.aborted) return { yes: false, reason: WAS_PAUSED };
  const { promise: late, resolve } = Promise.withResolvers<HookAnswer>();
  const onLate = () => resolve({ yes: false, reason: cut.aborted ? WAS_PAUSED : `no answer within ${timeoutS} s` });
  deadline.addEventListener("abort", onLate, { once: true });
  try {
    return await Promise.race([ask(harness, machine, call, token, deadline), late]);
  } catch (error) {
    return { yes: false, reason: shorten(messageOf(error)) };
  } finally {
    deadline.removeEventListener("abort", onLate);
  }
}

async function ask(
  harness: Harness,
  machine: Machine,
  { command, http }: HookCall,
  token: string | null,
  deadline: AbortSignal,
): Promise<HookAnswer> {
  if (command !== undefined) return runCommand(harness, machine, command, token, deadline);
  if (http === undefined) return { yes: true, token: null, wake: NOTHING };
  const { port, path, method = "POST" } = http;
  const request = { port, path, method, body: token, maxBytes: MAX_ANSWER_BYTES };
  const answer = await harness.request(machine, request, deadline);
  if (answer === null) return { yes: false, reason: `nothing listens on port ${port}` };
  return judge(answer.status < 400, answer.body, `HTTP ${answer.status} from ${path}`);
}

async function runCommand(
  harness: Harness,
  machine: Machine,
  command: string[],
  token: string | null,
  deadline: AbortSignal,
): Promise<HookAnswer> {
  const env: Record<string, string> = token === null ? {} : { [TOKEN_VARIABLE]: token };
  const exec_id = `exec-${randomUUID()}`;
  const session = await harness.exec(machine, { exec_id, command, env, cwd: null, user: null, tty: null });
  const close = () => session.close();
  if (deadline.aborted) close();
  deadline.addEventListener("abort", close, { once: true });
  try {
    if (token !== null) await session.send(FrameType.stdin, new TextEncoder().encode(`${token}\n`));
    await session.send(FrameType.stdinEnd);
    const said = { stdout: "", stderr: "" };
    const decoder = new TextDecoder();
    for await (const { type, payload } of session.frames) {
      if (type === FrameType.exit) {
        const { code } = JSON.parse(decoder.decode(payload)) as ProcessExit;
        const otherwise = lastLine(said.stderr) || lastLine(said.stdout) || `exit code ${code}`;
        return judge(code === 0, said.stdout, otherwise);
      }
      const stream = type === FrameType.stderr ? "stderr" : "stdout";
      // the newest is what counts
      said[stream] = (said[stream] + decoder.decode(payload)).slice(-MAX_ANSWER_BYTES);
    }
    return { yes: false, reason: "the instance ended before the hook did" };
  } finally {
    deadline.removeEventListener("abort", close);
    close();
  }
}

/** @param otherwise why not, when the answer itself does not say */
function judge(fine: boolean, body: string, otherwise: string): HookAnswer {
  const line = lastLine(body);
  const said = parseJson(line);
  const reason = "reason" in said && typeof said.reason === "string" ? said.reason : null;
  if (!fine) return { yes: false, reason: shorten(reason ?? otherwise) };
  if ("busy" in said && said.busy === true) return { yes: false, reason: shorten(reason ?? "it is busy") };
  const token = said === NOTHING || line.length > MAX_TOKEN_CHARS ? null : line;
  return { yes: true, token, wake: said };
}

const NOTHING = {};

/** An object that is no JSON at all is {@link NOTHING}. */
function parseJson(line: string): object {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? value : { value };
  } catch {
    return NOTHING; // a hook need not speak JSON
  }
}

const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1)?.trim() ?? "";

/** It goes into events and logs: one line, and not a long one. */
const shorten = (text: string): string => text.replaceAll(/\s+/g, " ").trim().slice(0, MAX_REASON_CHARS);
