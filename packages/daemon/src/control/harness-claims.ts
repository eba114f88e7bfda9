import Type from "typebox";
import { Compile } from "typebox/compile";
import type { HarnessState, ProcessExit } from "@aegis/protocol/control";
import { AegisError } from "@aegis/protocol/errors";

const Exit = Type.Object({
  code: Type.Integer({ minimum: 0, maximum: 255 }),
  signal: Type.Union([Type.String({ maxLength: 64 }), Type.Null()]),
});
const Pid = Type.Integer({ minimum: 1 });

const exit = Compile(Exit);
const shutdown = Compile(Type.Object({ exit: Type.Union([Exit, Type.Null()]) }));
const started = Compile(Type.Object({ pid: Pid }));
const state = Compile(
  Type.Union([
    Type.Object({ state: Type.Literal("idle") }),
    Type.Object({ state: Type.Literal("running"), pid: Pid }),
    Type.Object({ state: Type.Literal("exited"), exit: Exit }),
  ]),
);

const malformed = (what: string): AegisError =>
  new AegisError("guest_unreachable", `The harness of the instance sent a malformed ${what}.`);

/*
 * What a harness says of itself. It runs beside the guest, which may have taken it over: nothing is believed but its
 * form, and that only once it was looked at. Each throws AegisError `guest_unreachable` for what it should not be.
 */

export function harnessState(value: unknown): HarnessState {
  if (value === undefined) return { state: "idle" };
  if (state.Check(value)) return value;
  throw malformed("state");
}

export function startedProcess(value: unknown): { pid: number } {
  if (started.Check(value)) return value;
  throw malformed("answer to a start");
}

export function shutdownExit(value: unknown): ProcessExit | null {
  if (shutdown.Check(value)) return value.exit;
  throw malformed("answer to a shutdown");
}

/** @param payload of an exit frame */
export function exitFrame(payload: Uint8Array): ProcessExit {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(payload));
  } catch {
    throw malformed("exit code");
  }
  if (exit.Check(value)) return value;
  throw malformed("exit code");
}
