import type { Turn } from "./conversation.ts";
import { call, type Reply, say } from "./reply.ts";
import { websiteTopic } from "./website-topic.ts";

const label = "(I am the offline demo model: a small script, not an AI.)";

const introduction = `I am an **offline demo model**: a small script that stands in for an AI, so that you can try everything without a key or a network. I understand a few requests:

- "run python3 -c 'print(6 * 7)'": runs a command in the sandbox of this chat
- "build me a website about lobsters": starts a work instance that builds it
- "show me the logs": what the work instance printed
- "what is running": the work instances of this chat
- "status": how the newest one is doing
- "stop it": stops it

Set OPENAI_API_KEY, ANTHROPIC_API_KEY or an OpenAI-compatible address at the start to talk to a real model.`;

interface Request {
  matches: (said: string) => boolean;
  tool: string;
  parameters: (said: string) => object;
  /** what to tell the person once the tool has answered */
  report: (result: string, said: string) => string;
}

const fenced = (text: string): string => `\`\`\`\n${text.trim().slice(-3000).replaceAll("```", "'''")}\n\`\`\``;
const commandIn = (said: string): string | null => /^(?:please )?run:? +`?([^`]+)`?$/is.exec(said.trim())?.[1] ?? null;
const topicOf = (said: string): string => websiteTopic(said) ?? "it";

/** Before all others: a command may hold any word. */
const ownTools: readonly Request[] = [
  {
    matches: (said) => commandIn(said) !== null,
    tool: "exec",
    parameters: (said) => ({ command: commandIn(said) }),
    report: (result) => `This is what it printed, in the sandbox of this chat:\n${fenced(result)}\n${label}`,
  },
];

const requests: readonly Request[] = [
  ...ownTools,
  {
    matches: (said) => websiteTopic(said) !== null,
    tool: "work_spawn",
    parameters: (said) => ({ task: `build me a website about ${topicOf(said)}` }),
    report: (_result, said) =>
      `I have started a work instance that builds your website about ${topicOf(said)}. I will send you the link when it is ready. ${label}`,
  },
  {
    matches: (said) => /\b(?:logs?|output|printed)\b/i.test(said),
    tool: "work_logs",
    parameters: () => ({ tail: 40 }),
    report: (result) => `The latest output of the work instance:\n${fenced(result)}`,
  },
  {
    matches: (said) => /\b(?:stop|cancel|kill|abort)\b/i.test(said),
    tool: "work_stop",
    parameters: () => ({}),
    report: (result) => `Done, I asked it to stop.\n${fenced(result)}`,
  },
  {
    matches: (said) => /\bstatus\b|\bhow (?:is|are) (?:it|they)\b/i.test(said),
    tool: "work_status",
    parameters: () => ({}),
    report: (result) => `This is how it is doing:\n${fenced(result)}`,
  },
  {
    matches: (said) => /\blist\b|\bwhat(?:'s| is| are)? .*\brunning\b|\binstances\b/i.test(said),
    tool: "work_list",
    parameters: () => ({}),
    report: (result) => `These are the work instances of this chat:\n${fenced(result)}`,
  },
];

/** A tool's answer that tells of a failure, in the shapes of the kit's tools and of OpenClaw. */
const looksFailed = (result: string): boolean => /^\s*(?:work_\w+ failed\b|\{[^{}]*"status":\s*"error")/.test(result);

const address = /https?:\/\/[^\s<>"')\]]+/;

/** The host woke the agent: pass on what happened. */
function reportEvents({ events, silence }: Turn): string {
  const text = events.join("\n").trim();
  if (text === "" || /\bdo not repeat it\b/.test(text)) return silence;
  const url = address.exec(text)?.[0].replace(/[.,;:!?]+$/, "");
  if (url === undefined || /\bfail(?:ed|ure)\b/i.test(text)) return `News from your work instance: ${text} ${label}`;
  const topic = /website about (.{1,80}?)(?: is (?:ready|done)\b|["\n.;:]|$)/i.exec(text)?.[1];
  const what = topic === undefined ? "The work is done" : `Your website about ${topic.trim()} is ready`;
  return `${what}: ${url}\n\nThe instance sleeps when nobody looks and wakes when you open the link. ${label}`;
}

/** One step of the model in the bot. */
export function botReply(turn: Turn): Reply {
  if (turn.isWake) return say(reportEvents(turn));
  const request = requests.find(({ matches, tool }) => matches(turn.said) && turn.tools.has(tool));
  if (!request) return say(introduction);
  const result = turn.results.at(-1);
  if (result === undefined) return call(request.tool, request.parameters(turn.said));
  return say(
    looksFailed(result) ? `That did not work:\n${fenced(result)}\n${label}` : request.report(result, turn.said),
  );
}
