import type { LlmConfig } from "../claw-config.ts";
import { llmSections } from "../llm-provider.ts";

/** OpenClaw's config of the agent in a work instance. The instance is the sandbox: inside, it may do everything. */
export function agentConfig(llm: LlmConfig) {
  const { models, defaults } = llmSections(llm);
  return {
    update: { checkOnStart: false },
    telemetry: { enabled: false },
    logging: { file: "/tmp/openclaw/agent.log" },
    browser: { enabled: false },
    models,
    agents: { defaults },
    tools: { toolSearch: false, allow: ["group:fs", "group:runtime", "web_fetch", "web_search"] },
    plugins: { slots: { memory: "none" } },
  };
}

/** `AGENTS.md` of the work agent: what it must know of the place it works in. The task comes as it was given. */
export const workNotes = (site: string): string => `# Your work

You work alone in an isolated machine; nobody can answer questions. Your folder is ${site}. Whatever you put there is
published as a static website as soon as you are done, with index.html as its start page: use relative links, and start
no server. Files that the person has sent for it are in /workspace/in. Files that the person is to get in the chat (tables, pictures, documents, archives) go into /workspace/out. End with one or two sentences about what you
made, without a link.
`;
