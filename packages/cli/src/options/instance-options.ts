import { resolve } from "node:path";
import type { Capabilities } from "@aegis/protocol/capability";
import type { CreateInstance, ExposeRequest } from "@aegis/protocol/instance";
import type { NetworkPolicy } from "@aegis/protocol/network";
import type { Command } from "commander";
import { positiveNumber } from "./counts.ts";
import { env } from "./env.ts";
import { exposes } from "./expose.ts";
import { grant } from "./grant.ts";
import { memory } from "./memory.ts";
import { network } from "./network.ts";
import { addPowerOptions, powerFields, type PowerOptions } from "./power-options.ts";

/** What `run` and `instance start` can say about a new instance. */
export interface InstanceOptions extends PowerOptions {
  name?: string;
  image?: string;
  memory?: number;
  disk?: number;
  vcpus?: number;
  expose?: ExposeRequest[];
  secret?: string[];
  workspace?: string;
  env?: Record<string, string>;
  readOnly?: boolean;
  network?: NetworkPolicy;
  grant?: Capabilities;
}

export const addInstanceOptions = (command: Command): Command =>
  addPowerOptions(
    command
      .option("--name <name>", "a name for it; else it gets one")
      .option("--image <ref>", "OCI image, as in node:24; else the default image")
      .option("--memory <size>", "at most so much memory, as in 512m or 2g (default 512m)", memory)
      .option("--disk <size>", "may write at most so much, without the workspace (default 10g)", memory)
      .option("--vcpus <n>", "at most so many CPUs (default 1)", positiveNumber)
      .option("--expose <public:guest>", "a public port for a port of it; again for more", exposes)
      .option("--secret <name>", 'give it a stored secret, ENV=name to rename, "*" all; again for more', collect)
      .option("--workspace <name|path>", "kept folder at /workspace, by name or a host path")
      .option("--env <name=value>", "a variable; again for more", env)
      .option("--read-only", "nothing but /workspace and /tmp can be written")
      .option(
        "--network <mode>",
        "what it reaches outside: open, none, or allow=api.example.com:443,*.example.org",
        network,
      )
      .option("--grant <capabilities>", "what it may do with instances of its own, as JSON or @file", grant),
  );

/** The create body; only what was said is in it. */
export function createBody(options: InstanceOptions, command: string[], cwd: string): CreateInstance {
  const body: CreateInstance = {};
  if (options.name !== undefined) body.handle = options.name;
  if (command.length > 0) body.command = command;
  if (options.image !== undefined) body.image_ref = options.image;
  if (options.memory !== undefined) body.memory_mb = options.memory;
  if (options.disk !== undefined) body.disk_mb = options.disk;
  if (options.vcpus !== undefined) body.vcpus = options.vcpus;
  if (options.expose !== undefined) body.exposes = options.expose;
  if (options.secret !== undefined) body.secrets = options.secret;
  if (options.workspace !== undefined) body.workspace = workspaceOf(options.workspace, cwd);
  if (options.env !== undefined) body.env = options.env;
  if (options.readOnly !== undefined) body.read_only_root = options.readOnly;
  if (options.network !== undefined) body.network = options.network;
  if (options.grant !== undefined) body.capabilities = options.grant;
  const { pause_hook, ...power } = powerFields(options);
  return { ...body, ...power, ...(pause_hook && { pause_hook }) };
}

/** A path is relative to where the person is; a bare word is a name. */
const workspaceOf = (text: string, cwd: string) =>
  text.startsWith(".") || text.includes("/") ? resolve(cwd, text) : text;

const collect = (text: string, before: string[] = []): string[] => [...before, text];
