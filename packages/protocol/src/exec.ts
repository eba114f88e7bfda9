import Type, { type Static } from "typebox";
import { Command, Env } from "./instance.ts";

/** Body of `POST .../exec`. `stdin` is the whole input as text; interactive input goes over the WebSocket. */
export const ExecRequest = Type.Object(
  {
    command: Command,
    env: Type.Optional(Env),
    cwd: Type.Optional(Type.String({ minLength: 1, maxLength: 4096 })),
    user: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    stdin: Type.Optional(Type.String({ maxLength: 1_048_576 })),
    tty: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);
export type ExecRequest = Static<typeof ExecRequest>;

/** One line of the NDJSON answer of exec. The last line is either `done` or an `error`. */
export type ExecLine =
  | { exec_id: string; started_at: string }
  | { exec_id: string; stream: "stdout" | "stderr"; line: string; ts: string }
  | { exec_id: string; exit_code: number; done: true }
  | { exec_id: string; error: string; code: string; done: true };

/** One line of `GET .../logs`. */
export interface LogLine {
  /** RFC 3339 with milliseconds */
  ts: string;
  stream: "stdout" | "stderr";
  source: "boot" | "exec" | "system";
  exec_id?: string;
  line: string;
}
