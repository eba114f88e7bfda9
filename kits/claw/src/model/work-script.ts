import type { Turn } from "./conversation.ts";
import { call, type Reply, say } from "./reply.ts";
import { websiteFiles } from "./website-files.ts";
import { websiteTopic } from "./website-topic.ts";

const shellQuote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

function writeFile(turn: Turn, path: string, content: string): Reply {
  if (turn.tools.has("write")) return call("write", { path, content });
  return call("exec", { command: `printf %s ${shellQuote(content)} > ${path}`, title: `Write ${path}` });
}

/** One step of the model in a work instance, where OpenClaw's own tools are. */
export function workReply(turn: Turn): Reply {
  const topic = websiteTopic(turn.said);
  if (topic === null) {
    return say(
      `I am an offline demo model and can only build websites, so I did nothing for: ${turn.said.slice(0, 200)}`,
    );
  }
  const files = websiteFiles(topic);
  const next = files[turn.results.length];
  if (next) return writeFile(turn, next.path, next.content);
  return say(`The website about ${topic} is ready: ${files.map(({ path }) => path).join(" and ")}.`);
}
