import type { Writable } from "node:stream";
import { FILE_TIME } from "./recipe.ts";
import { runCommand } from "./run-command.ts";

/** Packs folders below `root` so that the same content gives the same bytes: sorted, owned by root, with one time. */
export const tarFolder = (
  root: string,
  entries: readonly string[],
  stdout: Writable,
  signal?: AbortSignal,
): Promise<unknown> =>
  runCommand(
    [
      "tar",
      "--create",
      "--format=posix",
      "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
      "--sort=name",
      `--mtime=@${FILE_TIME}`,
      "--owner=0",
      "--group=0",
      "--numeric-owner",
      "--mode=u+rwX,go+rX,go-w",
      `--directory=${root}`,
      "--",
      ...entries,
    ],
    { stdout, signal },
  );
