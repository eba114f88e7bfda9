import type { LlmConfig } from "./claw-config.ts";

/** What the bot tells a work instance in `CLAW_WORK`. */
export interface WorkSpec {
  /** shown on the page while the work is going on */
  title: string;
  job: WorkJob;
  /** where the site is served */
  port: number;
  /** files are on their way: the work begins when {@link BROUGHT} is there */
  brings_files?: true;
}

export type WorkJob =
  | { kind: "task"; task: string; llm: LlmConfig }
  /** `server`: the command itself listens on a port and is started again at every boot */
  | { kind: "command"; command: string; server: boolean };

/** Name of the variable that carries {@link WorkSpec} as JSON into a work instance. */
export const CLAW_WORK_ENV = "CLAW_WORK";

/** Port that a work instance serves its site on, unless told otherwise. */
export const SITE_PORT = 8080;

/** Folder of the workspace whose files reach the chat when the work is done. */
export const RESULT_FOLDER = "out";

/** Folder of the workspace with what people have sent for the work. */
export const INPUT_FOLDER = "in";

/** In the workspace: all of it is there. */
export const BROUGHT = ".claw/brought";
