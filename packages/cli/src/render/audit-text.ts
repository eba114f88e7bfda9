import { stripVTControlCharacters } from "node:util";
import type { AuditActor, AuditEntry } from "@aegis/protocol/audit";
import type { Palette } from "./palette.ts";

/** A line for people: when, who, what, on what, and why not. @param handleOf the handle of an id, where it is known */
export function auditText(entry: AuditEntry, palette: Palette, handleOf: (id: string) => string): string {
  const { ts, seq, actor, action, target, decision, reason, detail, more } = entry;
  const what = [handleOf(target), ...(detail === undefined ? [] : [`(${detail})`])].join(" ");
  const why = reason === null ? "" : `: ${reason}`;
  const others = more === undefined ? "" : ` and ${more - 1} more of the same`;
  const shade = { allowed: palette.dim, refused: palette.red, failed: palette.yellow }[decision];
  return [
    palette.dim(`${ts}  ${seq}`),
    plain(who(actor)).padEnd(14),
    shade(decision.padEnd(7)),
    action,
    plain(`${what}${others}${why}`),
  ].join("  ");
}

function who(actor: AuditActor): string {
  switch (actor.kind) {
    case "host":
      return `user ${actor.uid}`;
    case "instance":
      return `${actor.handle}, boot ${actor.boot}`;
    case "daemon":
      return "aegisd";
  }
}

/** Names and reasons may come from inside an instance: they get no say in what the terminal does. */
const plain = (text: string): string => stripVTControlCharacters(text).replaceAll(/\p{Cc}+/gu, " ");
