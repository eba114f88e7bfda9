import { constants } from "node:os";

/** As a shell gives it: 128 + signal number when a signal ended the process. */
export const exitCode = (code: number | null, signal: NodeJS.Signals | null): number =>
  code ?? (signal === null ? 1 : 128 + constants.signals[signal]);
