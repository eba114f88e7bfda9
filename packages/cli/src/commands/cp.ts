import { createReadStream, createWriteStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { AegisError } from "@aegis/protocol/errors";
import { InvalidArgumentError } from "commander";
import type { Cli } from "../cli.ts";
import type { Register } from "../command-table.ts";

/** A file of a workspace, or one here; `-` is stdin or stdout. */
type Place = { instance: string; path: string } | { file: string };

export const register: Register = (command, cli) => {
  command
    .argument("<from>", "NAME:PATH in its workspace, a file here, or - for stdin", place)
    .argument("<to>", "NAME:PATH, a file here, or - for stdout", place)
    .usage("FILE NAME:PATH | NAME:PATH FILE")
    .action(async (from: Place, to: Place) => {
      if ("instance" in from && "file" in to) return fetch(cli, from, to.file);
      if ("file" in from && "instance" in to) return send(cli, from.file, to);
      throw new InvalidArgumentError("one of the two is NAME:PATH, and the other a file here");
    });
};

/** As with scp: a path with a slash before the colon is one here. */
function place(text: string): Place {
  const match = /^([^/:]+):(.*)$/s.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) return { file: text };
  return { instance: match[1], path: match[2].replace(/^\/workspace(\/|$)/, "").replace(/^\/+/, "") };
}

async function send(cli: Cli, file: string, to: { instance: string; path: string }): Promise<void> {
  const name = to.path === "" || to.path.endsWith("/") ? `${to.path}${basename(file)}` : to.path;
  const source = resolve(cli.context.cwd, file);
  const mode = file === "-" ? undefined : (await local(file, () => stat(source))).mode & 0o777;
  const upload = file === "-" ? cli.context.stdin : createReadStream(source);
  const written = await cli.client.files.write(to.instance, name, upload, mode);
  cli.answer(written, () => `${to.instance}:${written.path}`);
}

async function fetch(cli: Cli, from: { instance: string; path: string }, file: string): Promise<void> {
  const bytes = await cli.client.files.read(from.instance, from.path);
  if (file === "-") return pipeline(bytes, cli.context.stdout, { end: false });
  const target = resolve(cli.context.cwd, file.endsWith("/") ? `${file}${basename(from.path)}` : file);
  await local(file, () => pipeline(bytes, createWriteStream(target)));
}

async function local<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof AegisError || !(cause instanceof Error)) throw cause;
    throw new AegisError("invalid_path", `${file} here cannot be used: ${cause.message}`, { cause });
  }
}
