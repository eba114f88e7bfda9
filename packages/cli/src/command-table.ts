import type { Command } from "commander";
import type { Cli } from "./cli.ts";

/** Gives a command its arguments, options and action. */
export type Register = (command: Command, cli: Cli) => void;

export interface Verb {
  name: string;
  summary: string;
  /** what stands behind `--` is a command for the instance */
  takesCommand?: true;
  /** loaded only when the command is run or its help is asked for */
  load: () => Promise<{ register: Register }>;
}

export type Entry = Verb | { name: string; summary: string; verbs: Verb[] };

export const entries: Entry[] = [
  { name: "up", summary: "start aegisd in the background", load: () => import("./commands/up.ts") },
  { name: "down", summary: "stop all instances and aegisd", load: () => import("./commands/down.ts") },
  { name: "status", summary: "is aegisd running, and what is it doing", load: () => import("./commands/status.ts") },
  { name: "doctor", summary: "check what this machine has and lacks", load: () => import("./commands/doctor.ts") },
  {
    name: "run",
    summary: "run a command in a new instance, until it ends",
    takesCommand: true,
    load: () => import("./commands/run.ts"),
  },
  {
    name: "exec",
    summary: "run a command in an instance",
    takesCommand: true,
    load: () => import("./commands/exec.ts"),
  },
  { name: "logs", summary: "what an instance has printed", load: () => import("./commands/logs.ts") },
  { name: "cp", summary: "copy a file into or out of a workspace", load: () => import("./commands/cp.ts") },
  { name: "events", summary: "what happens, as it happens", load: () => import("./commands/events.ts") },
  {
    name: "audit",
    summary: "who did what, and what was refused",
    load: () => import("./commands/audit.ts"),
  },
  {
    name: "instance",
    summary: "start, list and change instances",
    verbs: [
      {
        name: "start",
        summary: "create one, or start a stopped one",
        takesCommand: true,
        load: () => import("./commands/instance-start.ts"),
      },
      { name: "list", summary: "all instances", load: () => import("./commands/instance-list.ts") },
      { name: "info", summary: "everything about one", load: () => import("./commands/instance-info.ts") },
      { name: "stop", summary: "stop; a connection still wakes it", load: () => import("./commands/instance-stop.ts") },
      { name: "disable", summary: "stop; nothing wakes it", load: () => import("./commands/instance-disable.ts") },
      { name: "restart", summary: "stop and start", load: () => import("./commands/instance-restart.ts") },
      {
        name: "set",
        summary: "change when it sleeps and starts again",
        load: () => import("./commands/instance-set.ts"),
      },
      {
        name: "grant",
        summary: "say what it may do with instances of its own",
        load: () => import("./commands/instance-grant.ts"),
      },
      { name: "revoke", summary: "take all of that away", load: () => import("./commands/instance-revoke.ts") },
      { name: "pause", summary: "freeze, memory kept", load: () => import("./commands/instance-pause.ts") },
      {
        name: "hibernate",
        summary: "freeze, memory written to disk",
        load: () => import("./commands/instance-hibernate.ts"),
      },
      { name: "resume", summary: "go on after a pause", load: () => import("./commands/instance-resume.ts") },
      {
        name: "expose",
        summary: "give a port of it a public port",
        load: () => import("./commands/instance-expose.ts"),
      },
      { name: "unexpose", summary: "take the public port back", load: () => import("./commands/instance-unexpose.ts") },
      { name: "delete", summary: "remove it and its ports", load: () => import("./commands/instance-delete.ts") },
      {
        name: "prune",
        summary: "delete those that stopped long ago",
        load: () => import("./commands/instance-prune.ts"),
      },
    ],
  },
  {
    name: "preview",
    summary: "links to an instance's site for other people",
    verbs: [
      { name: "create", summary: "make a link, and print it", load: () => import("./commands/preview-create.ts") },
      { name: "list", summary: "those of one instance", load: () => import("./commands/preview-list.ts") },
      { name: "delete", summary: "end one", load: () => import("./commands/preview-delete.ts") },
      {
        name: "public-url",
        summary: "where links lead: see it, or set it",
        load: () => import("./commands/public-url.ts"),
      },
    ],
  },
  {
    name: "lease",
    summary: "reasons for an instance to stay awake",
    verbs: [
      { name: "acquire", summary: "keep one awake for a while", load: () => import("./commands/lease-acquire.ts") },
      { name: "release", summary: "give one back before its time", load: () => import("./commands/lease-release.ts") },
      { name: "list", summary: "those of one instance", load: () => import("./commands/lease-list.ts") },
    ],
  },
  {
    name: "secret",
    summary: "keys that instances may be given",
    verbs: [
      { name: "set", summary: "store a value, from a prompt or stdin", load: () => import("./commands/secret-set.ts") },
      { name: "list", summary: "names; values never come out", load: () => import("./commands/secret-list.ts") },
      { name: "delete", summary: "forget one", load: () => import("./commands/secret-delete.ts") },
      {
        name: "rotate-key",
        summary: "seal all of them with a new key",
        load: () => import("./commands/secret-rotate-key.ts"),
      },
    ],
  },
  {
    name: "image",
    summary: "images that instances boot from",
    verbs: [
      { name: "pull", summary: "fetch one from its registry", load: () => import("./commands/image-pull.ts") },
      { name: "import", summary: "take one from a local OCI layout", load: () => import("./commands/image-import.ts") },
      { name: "warm", summary: "have new instances of one start fast", load: () => import("./commands/image-warm.ts") },
      { name: "list", summary: "images in the store", load: () => import("./commands/image-list.ts") },
      { name: "delete", summary: "remove one from the store", load: () => import("./commands/image-delete.ts") },
      { name: "prune", summary: "remove those that nothing uses", load: () => import("./commands/image-prune.ts") },
    ],
  },
  {
    name: "kit",
    summary: "sets of instances that make something whole, such as a bot",
    verbs: [
      {
        name: "list",
        summary: "the kits of this clone, and what they can do",
        load: () => import("./commands/kit-list.ts"),
      },
      kitVerb("setup", "ask for what a kit needs, check it, and keep it"),
      kitVerb("up", "start a kit"),
      kitVerb("down", "end a kit"),
      kitVerb("status", "whether a kit works, and what to do if not"),
      kitVerb("pair", "let in whom a kit gave a code"),
      kitVerb("upgrade", "another version of what a kit runs"),
      kitVerb("rollback", "back to before the last upgrade or restore"),
      kitVerb("backup", "what a kit knows, into a file"),
      kitVerb("restore", "what it knew, from a file"),
    ],
  },
];

function kitVerb(name: string, summary: string): Verb {
  return {
    name,
    summary,
    load: async () => ({ register: (await import("./commands/kit-verb.ts")).kitVerb(name) }),
  };
}
