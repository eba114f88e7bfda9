import type { ChatCompletionRequest, ChatMessage } from "@copilotkit/aimock";
import { parseJson } from "../relay/json-value.ts";

/** What matters of a request: what was said last, and what has been done about it since. */
export interface Turn {
  /** the person's own words, empty when nobody said anything */
  said: string;
  /** lines that the host put in: something happened */
  events: readonly string[];
  /** what to answer to a wake that needs no words */
  silence: string;
  /** a wake of the agent by its host, not a message of a person */
  isWake: boolean;
  /** results of the tools that were called since, oldest first */
  results: readonly string[];
  tools: ReadonlySet<string>;
}

function textOf({ content }: ChatMessage): string {
  if (typeof content === "string") return content;
  return (content ?? []).map((part) => (typeof part.text === "string" ? part.text : "")).join("\n");
}

const noteStart = "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>";

/** OpenClaw adds notes of its own with the role of the user; nobody said them. */
const isHostNote = (message: ChatMessage): boolean =>
  message.role === "user" && textOf(message).trimStart().startsWith(noteStart);

const isSaid = (message: ChatMessage): boolean => message.role === "user" && !isHostNote(message);

/** In a note, each thing that the host has to tell is a JSON string on a line of its own. */
function noteLines(note: string): string[] {
  const quoted = note.match(/^"(?:[^"\\]|\\.)*"$/gm) ?? [];
  return quoted.flatMap((text) => {
    const told = parseJson(text);
    return typeof told === "string" ? told.split("\n") : [];
  });
}

const eventLine = /^System: (?:\[[^\]]*\] )?/;
/** The words with which OpenClaw wakes an agent that nobody has spoken to. */
const wake = /heartbeat monitor scratch|\breply (?:NO_REPLY|HEARTBEAT_OK)\b/;

function eventsOf(lines: readonly string[]): string[] {
  return lines.filter((line) => eventLine.test(line)).map((line) => line.replace(eventLine, "").trim());
}

/** Takes away what OpenClaw wraps around a person's words: blocks of metadata, the time in front, the facts behind. */
function ownWords(text: string): string {
  return text
    .replaceAll(/<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>[\s\S]*?<<<END_OPENCLAW_INTERNAL_CONTEXT>>>/g, "")
    .replaceAll(/^[^\n]*(?:⟦openclaw:ctx⟧|\(untrusted[^\n]*\):?)\n```[\s\S]*?```$/gm, "")
    .replace(/\n\nRuntime: agent=[^\n]*/, "")
    .trim()
    .replace(/^\[[^\]\n]*\d{4}-\d\d-\d\d[^\]\n]*\]\s*/, "")
    .trim();
}

/** Reads the last turn out of a request. */
export function lastTurn(request: ChatCompletionRequest): Turn {
  const { messages } = request;
  const start = messages.findLastIndex(isSaid);
  const message = messages[start];
  const lines = (message ? textOf(message) : "").split("\n");
  const notes = messages
    .slice(start + 1)
    .filter(isHostNote)
    .flatMap((note) => noteLines(textOf(note)));
  const said = ownWords(lines.filter((line) => !eventLine.test(line)).join("\n"));
  const events = eventsOf([...lines, ...notes]);
  const isWake = wake.test(said) || (said === "" && events.length > 0);
  return {
    said: isWake ? "" : said,
    events,
    silence: /\breply (NO_REPLY|HEARTBEAT_OK)\b/.exec(said)?.[1] ?? "NO_REPLY",
    isWake,
    results: messages
      .slice(start + 1)
      .filter(({ role }) => role === "tool")
      .map(textOf),
    tools: new Set((request.tools ?? []).map((tool) => tool.function.name)),
  };
}
